package forward

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// session is one client's datagrams to one node, and the answers.
type session struct {
	node  *node
	up    net.Conn
	moved atomic.Int64
	once  sync.Once
}

func (s *session) end() {
	s.once.Do(func() {
		_ = s.up.Close()
		s.node.drop(s.up)
	})
}

const sessionsMost = 4096

func (s *service) serveUDP() {
	buffer := make([]byte, 64<<10)
	for {
		n, addr, err := s.udp.ReadFrom(buffer)
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			continue // an answer that nobody waited for
		}
		from := addrOf(addr)
		if s.send(from, addr, buffer[:n]) {
			s.in.Add(int64(n))
		}
	}
}

// send finds the client's node or chooses one. A node that refuses is marked
// and the datagram goes to another.
func (s *service) send(from netip.AddrPort, client net.Addr, datagram []byte) bool {
	s.mu.Lock()
	now := s.sessions[from]
	s.mu.Unlock()
	if now != nil {
		if _, err := now.up.Write(datagram); err == nil {
			now.moved.Store(time.Now().UnixNano())
			now.node.in.Add(int64(len(datagram)))
			return true
		}
		s.forget(from, now)
	}
	if !s.passes(from.Addr()) {
		return false
	}
	for _, n := range s.choose(from.Addr()) {
		n.mu.Lock()
		want := n.want
		n.mu.Unlock()
		up, err := s.gateway.dial(s.ctx, s.org, "udp", want.Address, want.Port)
		if err == nil {
			_, err = up.Write(datagram)
		}
		if err != nil {
			n.failed(err)
			continue
		}
		fresh := &session{node: n, up: up}
		fresh.moved.Store(time.Now().UnixNano())
		s.mu.Lock()
		full := len(s.sessions) >= sessionsMost
		if !full {
			s.sessions[from] = fresh
		}
		s.mu.Unlock()
		if full || !n.add(up) {
			_ = up.Close()
			return false
		}
		s.total.Add(1)
		n.total.Add(1)
		n.in.Add(int64(len(datagram)))
		go s.answers(from, client, fresh)
		return true
	}
	return false
}

func (s *service) forget(from netip.AddrPort, gone *session) {
	gone.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[from] == gone {
		delete(s.sessions, from)
	}
}

func (s *service) answers(from netip.AddrPort, client net.Addr, now *session) {
	defer s.forget(from, now)
	buffer := make([]byte, 64<<10)
	idle := s.idle()
	for {
		_ = now.up.SetReadDeadline(time.Unix(0, now.moved.Load()).Add(idle))
		n, err := now.up.Read(buffer)
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() && time.Since(time.Unix(0, now.moved.Load())) < idle { //nolint:errorlint // as net documents
				continue
			}
			return
		}
		now.moved.Store(time.Now().UnixNano())
		s.out.Add(int64(n))
		now.node.out.Add(int64(n))
		if _, err := s.udp.WriteTo(buffer[:n], client); err != nil {
			return
		}
	}
}
