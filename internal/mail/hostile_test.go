package mail_test

import (
	"bytes"
	"context"
	"net"
	netmail "net/mail"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/mail"
)

// A server that says nothing, or never stops, holds neither a worker nor the
// portal's memory.
func TestHostileServerIsLeft(t *testing.T) {
	t.Parallel()
	noise := bytes.Repeat([]byte("2"), 32<<10)
	for name, talk := range map[string]func(net.Conn) (sent int){
		"silence": func(conn net.Conn) int { _, _ = conn.Read(make([]byte, 1)); return 0 },
		"a line without end": func(conn net.Conn) (sent int) {
			for sent < 64<<20 {
				n, err := conn.Write(noise)
				if sent += n; err != nil {
					break
				}
			}
			return sent
		},
	} {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan int, 1)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			sent <- talk(conn)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		server := &mail.Server{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, Security: mail.None, From: netmail.Address{Address: "portal@provider.example"}}
		err = server.Deliver(ctx, mail.Message{ID: "1", To: "a@b.example", Subject: "x", Text: "x", Date: time.Now()})
		cancel()
		_ = listener.Close()
		if err == nil {
			t.Errorf("%s: delivered", name)
		}
		select {
		case n := <-sent:
			if n > 32<<20 { // what the sockets hold, and no more
				t.Errorf("%s: %d bytes were taken", name, n)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the line is still open", name)
		}
	}
}
