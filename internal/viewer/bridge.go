package viewer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// viewersAtOnce bounds the connections that a bridge carries.
	viewersAtOnce = 8
	// readPatience is longer than the portal's pings are apart.
	readPatience  = 60 * time.Second
	writePatience = 20 * time.Second
)

// Listen opens the local port. Any process of this computer may connect to
// what is bridged, and anybody on the network where it isn't loopback: that
// has to be asked for.
func Listen(ctx context.Context, address string, anywhere bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &FailureError{Exit: ExitUsage, Sentence: fmt.Sprintf("--listen %q: want host:port, such as 127.0.0.1:5901", address)}
	}
	if ip := net.ParseIP(host); !anywhere && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, &FailureError{Exit: ExitUsage, Sentence: fmt.Sprintf(
			"--listen %s would let everybody on the network at the screen, without a password; add --listen-anywhere if that is meant", address)}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &FailureError{Exit: ExitFailed, Sentence: err.Error()}
	}
	return listener, nil
}

// Bridge carries each connection of a VNC viewer over a console of its own,
// with a fresh ticket, until ctx ends.
func (c *Client) Bridge(ctx context.Context, listener net.Listener, org, id string, log *slog.Logger) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	places := make(chan struct{}, viewersAtOnce)
	var open sync.WaitGroup
	defer open.Wait()
	for {
		local, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("wait for a viewer: %w", err)
		}
		select {
		case places <- struct{}{}:
		default:
			log.WarnContext(ctx, "too many viewers at once", "most", viewersAtOnce)
			_ = local.Close()
			continue
		}
		open.Go(func() {
			defer func() { <-places }()
			log.InfoContext(ctx, "viewer connected", "from", local.RemoteAddr())
			err := c.carry(ctx, local, org, id)
			log.InfoContext(ctx, "viewer gone", "from", local.RemoteAddr(), "reason", err)
		})
	}
}

// errViewerLeft: the ordinary end.
var errViewerLeft = errors.New("the viewer left")

func (c *Client) carry(ctx context.Context, local net.Conn, org, id string) error {
	defer func() { _ = local.Close() }()
	ticket, err := c.Ticket(ctx, org, id)
	if err != nil {
		return err
	}
	remote, err := c.Open(ctx, ticket)
	if err != nil {
		return err
	}
	defer func() { _ = remote.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = local.Close() })
	defer stop()
	back := make(chan error, 1)
	go func() {
		back <- toViewer(local, remote)
		_ = local.Close()
	}()
	fromViewer(local, remote)
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = remote.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	_ = remote.SetReadDeadline(time.Now().Add(2 * time.Second))
	return <-back
}

// toViewer passes the picture on. Text frames are for the portal's own page.
func toViewer(local net.Conn, remote *websocket.Conn) error {
	alive := func() { _ = remote.SetReadDeadline(time.Now().Add(readPatience)) }
	answer := remote.PingHandler()
	remote.SetPingHandler(func(data string) error { alive(); return answer(data) })
	buffer := make([]byte, 32<<10)
	for {
		alive()
		kind, message, err := remote.NextReader()
		if err != nil {
			if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				return errViewerLeft
			}
			return errors.New(why(err))
		}
		if kind != websocket.BinaryMessage {
			continue
		}
		_ = local.SetWriteDeadline(time.Now().Add(writePatience))
		if _, err := io.CopyBuffer(onlyWriter{local}, message, buffer); err != nil {
			return errViewerLeft
		}
	}
}

// onlyWriter keeps io.CopyBuffer from going past the buffer.
type onlyWriter struct{ io.Writer }

// fromViewer passes input on until one end is gone.
func fromViewer(local net.Conn, remote *websocket.Conn) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := local.Read(buffer)
		if n > 0 {
			_ = remote.SetWriteDeadline(time.Now().Add(writePatience))
			if remote.WriteMessage(websocket.BinaryMessage, buffer[:n]) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
