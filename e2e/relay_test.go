package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
)

// relay stands between the portal and a vCenter and keeps the secrets that
// vCenter gives it: sessions, and tickets to screens.
type relay struct {
	server *httptest.Server
	away   atomic.Bool  // hangs up on everybody
	clones atomic.Int32 // that were begun

	mu   sync.Mutex
	kept []string
}

var (
	screenTicket = regexp.MustCompile(`/ticket/([A-Z2-7]{20,})`)
	cloneBegun   = []byte("CloneVM_TaskResponse")
)

func newRelay(t *testing.T, vcenter *testkit.LabVCenter) *relay {
	t.Helper()
	target, err := url.Parse(vcenter.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = target.Scheme, target.Host
			p.Out.Header.Del("Accept-Encoding") // answers are to be read
		},
		Transport:      &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // #nosec G402 -- our own process on loopback
		ModifyResponse: r.keep,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	r.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.away.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(r.server.Close)
	return r
}

// keep reads an answer on its way. What was begun before vCenter went away
// ends with it.
func (r *relay) keep(answer *http.Response) error {
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || r.away.Load() {
		return io.ErrUnexpectedEOF
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, cloneBegun) {
		r.clones.Add(1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range answer.Cookies() {
		r.kept = append(r.kept, strings.Trim(c.Value, `"`))
	}
	for _, found := range screenTicket.FindAllSubmatch(body, -1) {
		r.kept = append(r.kept, string(found[1]))
	}
	return nil
}

// passed lists what was kept.
func (r *relay) passed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.kept)
	return slices.Compact(slices.Clone(r.kept))
}

// as is the vCenter as it is found behind the relay.
func (r *relay) as(vcenter *testkit.LabVCenter) *testkit.LabVCenter {
	seen := *vcenter
	seen.URL = r.server.URL + "/sdk"
	sum := sha256.Sum256(r.server.Certificate().Raw)
	seen.ThumbprintSHA256 = strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
	return &seen
}
