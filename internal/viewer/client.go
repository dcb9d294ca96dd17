package viewer

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/html"
)

// Options is where the portal is and as whom to come.
type Options struct {
	URL    string // of the portal
	Token  string // an API token
	CAFile string // whom to trust, in PEM, where that isn't the system's roots
	Mode   string // operate or view
	// Takeover ends the console of whoever operates the machine.
	Takeover bool
}

// Client asks the portal for screens.
type Client struct {
	base    *url.URL
	options Options
	http    *http.Client
	tls     *tls.Config
}

// answerMax bounds what the portal may answer.
const answerMax = 8 << 20

// New checks the options. It asks nothing yet.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.URL, "/"))
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, &FailureError{Exit: ExitUsage, Sentence: fmt.Sprintf("%q is not the address of a portal, such as https://portal.example", o.URL)}
	}
	if o.Token == "" {
		return nil, &FailureError{Exit: ExitUsage, Sentence: "an API token is needed: make one on your account page, for this org, with the role user or admin"}
	}
	c := &Client{base: base, options: o, tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, &FailureError{Exit: ExitUsage, Sentence: "--ca: " + err.Error()}
		}
		c.tls.RootCAs = x509.NewCertPool()
		if !c.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &FailureError{Exit: ExitUsage, Sentence: "--ca: " + o.CAFile + " holds no certificate"}
		}
	}
	c.http = &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: c.tls, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes to the portal and nowhere else
	}
	return c, nil
}

// What a failed command ends with.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitRefused     = 3 // token unknown, or its role doesn't open consoles
	ExitNotFound    = 4 // no such org or machine
	ExitConflict    = 5 // not powered on, or somebody else operates it
	ExitUnreachable = 6 // the portal does not answer
	ExitLater       = 7 // too many are open, or the machine's host is away: try again
)

// FailureError is what the user is told.
type FailureError struct {
	Exit     int
	Sentence string
}

func (f *FailureError) Error() string { return f.Sentence }

// ExitCode is for the command line.
func (f *FailureError) ExitCode() int { return f.Exit }

// Ticket opens one socket, once.
type Ticket struct {
	Ticket  string    `json:"ticket"`
	URL     string    `json:"url"`
	Mode    string    `json:"mode"`
	Expires time.Time `json:"expires"`
}

func (c *Client) do(ctx context.Context, method, path string, form url.Values) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.options.Token)
	r.Header.Set("Accept", "application/json")
	if method == http.MethodGet {
		r.Header.Set("Accept", "text/html")
	} else {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, &FailureError{Exit: ExitUnreachable, Sentence: "the portal does not answer: " + err.Error()}
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerMax))
	if err != nil {
		return 0, nil, &FailureError{Exit: ExitUnreachable, Sentence: "the portal's answer broke off: " + err.Error()}
	}
	return answer.StatusCode, body, nil
}

// refusal puts a status into words, with the portal's own sentence if it has one.
func refusal(status int, body []byte) error {
	var told struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &told)
	say := func(exit int, otherwise string) error {
		if told.Message != "" {
			otherwise = told.Message
		}
		return &FailureError{Exit: exit, Sentence: otherwise}
	}
	switch status {
	case http.StatusUnauthorized:
		return say(ExitRefused, "the portal does not know this token; it may have expired or been revoked")
	case http.StatusForbidden:
		return say(ExitRefused, "this token's role does not open consoles")
	case http.StatusNotFound:
		return &FailureError{Exit: ExitNotFound, Sentence: "there is no such org or machine, or the token is not for it"}
	case http.StatusConflict:
		return say(ExitConflict, "the machine has no screen just now")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return say(ExitLater, "the portal can't open this console just now; try again in a moment")
	default:
		return say(ExitFailed, fmt.Sprintf("the portal answers %d", status))
	}
}

var uuidText = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// pagesMost bounds a search that the portal doesn't narrow to the name.
const pagesMost = 200

// Find returns the id of an org's machine, given by id or by its exact name.
func (c *Client) Find(ctx context.Context, org, machine string) (string, error) {
	if uuidText.MatchString(machine) {
		return machine, nil
	}
	// A portal that knows name answers with the one; an older one with all that
	// q finds, page by page.
	query := url.Values{"q": {machine}, "name": {machine}, "limit": {"200"}}
	found := map[string]bool{}
	for range pagesMost {
		status, body, err := c.do(ctx, http.MethodGet, "/orgs/"+url.PathEscape(org)+"/machines?"+query.Encode(), nil)
		if err != nil {
			return "", err
		}
		if status != http.StatusOK {
			return "", refusal(status, body)
		}
		after, err := readList(body, machine, found)
		if err != nil {
			return "", err
		}
		if after == "" {
			return theOne(found, org, machine)
		}
		query.Set("after", after)
	}
	return "", &FailureError{Exit: ExitFailed, Sentence: fmt.Sprintf("%s has too many machines like %q to look through; give its id, which is in its page's address", org, machine)}
}

func theOne(found map[string]bool, org, machine string) (string, error) {
	ids := slices.Sorted(maps.Keys(found))
	switch len(ids) {
	case 0:
		return "", &FailureError{Exit: ExitNotFound, Sentence: fmt.Sprintf("%s has no machine of the exact name %q", org, machine)}
	case 1:
		return ids[0], nil
	default:
		return "", &FailureError{Exit: ExitUsage, Sentence: fmt.Sprintf("%s has %d machines named %q; give the id of one: %s", org, len(ids), machine, strings.Join(ids, ", "))}
	}
}

// readList notes the ids of rows whose link is the name, and returns where the
// list goes on, "" at its end.
func readList(page []byte, name string, found map[string]bool) (after string, err error) {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return "", fmt.Errorf("read the list of machines: %w", err)
	}
	var walk func(n *html.Node, id string)
	walk = func(n *html.Node, id string) {
		next, to := false, ""
		for _, a := range n.Attr {
			switch a.Key {
			case "data-machine-id":
				id = a.Val
			case "rel":
				next = a.Val == "next"
			case "href":
				to = a.Val
			}
		}
		if n.Data == "a" && id != "" && strings.TrimSpace(textOf(n)) == name {
			found[id] = true
		}
		if u, err := url.Parse(to); n.Data == "a" && next && err == nil {
			after = u.Query().Get("after")
		}
		for child := n.FirstChild; child != nil; child = child.NextSibling {
			walk(child, id)
		}
	}
	walk(root, "")
	return after, nil
}

func textOf(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		b.WriteString(textOf(child))
	}
	return b.String()
}

// Ticket asks for one.
func (c *Client) Ticket(ctx context.Context, org, id string) (Ticket, error) {
	form := url.Values{"mode": {c.options.Mode}}
	if c.options.Takeover {
		form.Set("takeover", "yes")
	}
	status, body, err := c.do(ctx, http.MethodPost, "/orgs/"+url.PathEscape(org)+"/machines/"+url.PathEscape(id)+"/console/ticket", form)
	if err != nil {
		return Ticket{}, err
	}
	if status != http.StatusOK {
		return Ticket{}, refusal(status, body)
	}
	var t Ticket
	if err := json.Unmarshal(body, &t); err != nil || t.Ticket == "" || t.URL == "" {
		return Ticket{}, &FailureError{Exit: ExitFailed, Sentence: "the portal's answer is no ticket; is this the address of a portal?"}
	}
	return t, nil
}

// Open redeems a ticket.
func (c *Client) Open(ctx context.Context, t Ticket) (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		Subprotocols: []string{"binary", "ticket." + t.Ticket}, TLSClientConfig: c.tls, Proxy: http.ProxyFromEnvironment,
		HandshakeTimeout: 30 * time.Second, ReadBufferSize: 32 << 10, WriteBufferSize: 4 << 10,
	}
	var conn *websocket.Conn
	var err error
	// The handshake's SHA-1 secures nothing.
	fips140.WithoutEnforcement(func() {
		var answer *http.Response
		conn, answer, err = dialer.DialContext(ctx, t.URL, http.Header{"Authorization": {"Bearer " + c.options.Token}})
		if answer != nil {
			_ = answer.Body.Close() // its first bytes; the socket is not in it
		}
	})
	if err != nil {
		return nil, &FailureError{Exit: ExitUnreachable, Sentence: "the console does not open: " + err.Error()}
	}
	if conn.Subprotocol() != "binary" {
		_ = conn.Close()
		return nil, &FailureError{Exit: ExitFailed, Sentence: "what answers there is not a portal's console"}
	}
	return conn, nil
}

// why puts the end of a socket into words.
func why(err error) string {
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Text != "":
		return fmt.Sprintf("%s (%d)", closed.Text, closed.Code)
	case errors.As(err, &closed):
		return fmt.Sprintf("closed by the portal (%d)", closed.Code)
	default:
		return "connection lost"
	}
}
