package lab

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Guests finds where the guests of all clouds really listen, by the org's
// folder and the private address. It asks the vCenters, which know what runs,
// and remembers: a guest that went since refuses the connection by itself.
type Guests struct {
	clouds func() []Cloud

	mu    sync.Mutex
	known map[string]Wire
	asked time.Time
}

// askAgain is how soon an unknown address may cause another look.
const askAgain = 200 * time.Millisecond

// trustFor is how long an answer holds: a machine that is started again may
// listen elsewhere, and another org's where it did.
const trustFor = 2 * time.Second

// Guests looks things up in the clouds of this lab.
func (l *Lab) Guests() *Guests { return NewGuests(l.Clouds) }

// NewGuests looks things up in the given clouds.
func NewGuests(clouds func() []Cloud) *Guests { return &Guests{clouds: clouds} }

// ErrNoGuest says that nothing runs at an address, or listens on the port.
var ErrNoGuest = errors.New("no running guest listens there")

// Locate returns where to connect to for a port of a guest.
func (g *Guests) Locate(ctx context.Context, folder, network string, at netip.AddrPort) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := folder + " " + at.Addr().String()
	w, ok := g.known[key]
	age := time.Since(g.asked)
	if age > trustFor || (!ok || port(w, network, at.Port()) == "") && age > askAgain {
		g.look(ctx)
		w, ok = g.known[key]
	}
	if where := port(w, network, at.Port()); ok && where != "" {
		return where, nil
	}
	return "", ErrNoGuest
}

// Forget drops what is known of an address that did not answer: it may have
// come back elsewhere.
func (g *Guests) Forget(folder string, a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, folder+" "+a.String())
}

func port(w Wire, network string, n uint16) string {
	if strings.HasPrefix(network, "udp") {
		return w.UDP[int(n)]
	}
	return w.TCP[int(n)]
}

func (g *Guests) look(ctx context.Context) {
	g.asked = time.Now()
	known := map[string]Wire{}
	for _, c := range g.clouds() {
		list, err := wires(ctx, c)
		if err != nil {
			// It is being started again. What was known may still hold.
			maps.Copy(known, g.known)
			continue
		}
		for _, w := range list {
			for _, a := range w.Addresses {
				known[w.Folder+" "+a] = w
			}
		}
	}
	g.known = known
}

func wires(ctx context.Context, c Cloud) ([]Wire, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	u.Path = "/lab/guests"
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(c.Username, c.Password)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, // its certificate is compared whole
		VerifyConnection: func(s tls.ConnectionState) error {
			sum := sha256.Sum256(s.PeerCertificates[0].Raw)
			if !strings.EqualFold(strings.ReplaceAll(c.ThumbprintSHA256, ":", ""), hex.EncodeToString(sum[:])) {
				return errors.New("another certificate than the lab's")
			}
			return nil
		},
	}}}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("lab: ask cloud %s: %w", c.Slug, err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("lab: ask cloud %s: %s", c.Slug, res.Status)
	}
	var list []Wire
	return list, json.NewDecoder(res.Body).Decode(&list)
}
