package forward

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"
)

// The figures of the real gateway's HTTP services, in internal/gateway/render.
const (
	headerPatience    = 15 * time.Second
	keepAlivePatience = time.Minute
)

// web carries an HTTP service request by request: each finds a node of its own,
// which is told in X-Forwarded-For who came.
func (s *service) web() *http.Server {
	quiet := log.New(io.Discard, "", 0)
	transport := &http.Transport{DialContext: s.dialNode, MaxIdleConnsPerHost: 32, IdleConnTimeout: 5 * time.Second, DisableCompression: true}
	context.AfterFunc(s.ctx, transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "node", r.In.Host
			r.Out.Header.Set("X-Forwarded-For", clientOf(r.In).String())
		},
		Transport: webNodes{service: s, transport: transport}, FlushInterval: -1, ErrorLog: quiet,
		// None is left, or the one that had the request is gone: the client
		// hears what it hears of a TCP service.
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, _ error) {
			if c, ok := r.Context().Value(webClientKey{}).(*webClient); ok {
				reset(c)
			}
			panic(http.ErrAbortHandler)
		},
	}
	return &http.Server{Handler: proxy, ReadHeaderTimeout: headerPatience, IdleTimeout: keepAlivePatience, ErrorLog: quiet,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, webClientKey{}, c)
		}}
}

type webClientKey struct{}

func clientOf(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// notMadeError is the error of a connection to a node that could not be made.
type notMadeError struct{ error }

// dialNode connects to the node with the given address, and counts for it.
func (s *service) dialNode(ctx context.Context, _, at string) (net.Conn, error) {
	a, err := netip.ParseAddrPort(at)
	if err != nil {
		return nil, err
	}
	c, err := s.gateway.dial(ctx, s.org, "tcp", a.Addr().String(), int(a.Port()))
	if err != nil {
		return nil, notMadeError{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		n.mu.Lock()
		is := n.want.Address == a.Addr().String() && n.want.Port == int(a.Port())
		n.mu.Unlock()
		if is {
			return countedConn{Conn: c, in: &n.out, out: &n.in}, nil
		}
	}
	return c, nil
}

// countedConn counts what is read and what is written.
type countedConn struct {
	net.Conn
	in, out *atomic.Int64
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	return n, err
}

// webNodes sends a request to the first node that takes it.
type webNodes struct {
	service   *service
	transport *http.Transport
}

// RoundTrip asks one node after the other: a connection that can't be made
// passes a request on, and so does an answer that never began, where the
// request may be asked twice.
func (w webNodes) RoundTrip(r *http.Request) (*http.Response, error) {
	from, err := netip.ParseAddr(r.Header.Get("X-Forwarded-For"))
	if err != nil {
		return nil, err
	}
	err = errors.New("no node is left")
	for _, n := range w.service.choose(from) {
		var res *http.Response
		var again bool
		if res, again, err = w.ask(n, r); err == nil || !again {
			return res, err
		}
	}
	return nil, err
}

func (w webNodes) ask(n *node, r *http.Request) (res *http.Response, again bool, err error) {
	n.mu.Lock()
	want := n.want
	n.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	idle := w.service.idle()
	turn := &webTurn{node: n, cancel: cancel, idle: idle, silent: time.AfterFunc(idle, cancel)}
	if !n.add(turn) {
		turn.end()
		return nil, true, errors.New("the node is out")
	}
	out := r.Clone(ctx)
	out.URL.Host = net.JoinHostPort(want.Address, strconv.Itoa(want.Port))
	res, err = w.transport.RoundTrip(out)
	if err != nil {
		turn.end()
		if r.Context().Err() != nil { // the client is gone: not the node's fault
			return nil, false, err
		}
		var unmade notMadeError
		if errors.As(err, &unmade) {
			n.failed(unmade.error)
			return nil, true, err
		}
		return nil, r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions, err
	}
	n.total.Add(1)
	turn.body = res.Body
	if upgraded, is := res.Body.(io.ReadWriteCloser); is {
		res.Body = webUpgraded{webBody{turn}, upgraded}
	} else {
		res.Body = webBody{turn}
	}
	return res, false, nil
}

// webTurn is a request that a node has in its hands.
type webTurn struct {
	node   *node
	cancel context.CancelFunc
	idle   time.Duration
	silent *time.Timer
	body   io.ReadCloser
}

// Close ends it because its node is taken out.
func (t *webTurn) Close() error {
	t.cancel()
	return nil
}

func (t *webTurn) end() {
	t.silent.Stop()
	t.cancel()
	t.node.drop(t)
}

// webBody is the answer, on its way.
type webBody struct{ *webTurn }

func (b webBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.silent.Reset(b.idle)
	return n, err
}

// Close ends the turn: all is said.
func (b webBody) Close() error {
	err := b.body.Close()
	b.end()
	return err
}

// webUpgraded is a connection that became something else than HTTP.
type webUpgraded struct {
	webBody
	io.Writer
}

// webListener hands the server those clients that may come.
type webListener struct {
	*service

	at net.Listener
}

func (l webListener) Addr() net.Addr { return l.at.Addr() }
func (l webListener) Close() error   { return l.at.Close() }

func (l webListener) Accept() (net.Conn, error) {
	for {
		c, err := l.at.Accept()
		if err != nil {
			return nil, err
		}
		from := addrOf(c.RemoteAddr()).Addr()
		if !l.passes(from) {
			reset(c)
			continue
		}
		l.total.Add(1)
		w := &webClient{countedConn: countedConn{Conn: c, in: &l.in, out: &l.out}, service: l.service}
		l.mu.Lock()
		l.open[w] = from
		l.mu.Unlock()
		return w, nil
	}
}

// webClient is a client's connection, which ends with the service.
type webClient struct {
	countedConn
	service *service
}

// SetReadDeadline: the server waits for a minute at most; a service may want
// less.
func (c *webClient) SetReadDeadline(t time.Time) error {
	if most := time.Now().Add(c.service.idle()); !t.IsZero() && t.After(most) {
		t = most
	}
	return c.Conn.SetReadDeadline(t)
}

// Close is the server's. Whoever walks through the list resets what is below.
func (c *webClient) Close() error {
	c.service.mu.Lock()
	delete(c.service.open, net.Conn(c))
	c.service.mu.Unlock()
	return c.Conn.Close()
}
