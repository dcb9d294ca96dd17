// Package wg speaks WireGuard's own configuration language, for whoever holds
// the device: the tunnel process of a gateway host, or the lab in process. It
// tells a device the differences only, so that a peer that stays keeps its
// session.
package wg

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
)

type peer struct {
	allowed   []string
	handshake time.Time
	in, out   int64
}

type state struct {
	key   string
	port  string
	peers map[string]*peer // by key in hex
}

func read(text string) state {
	s := state{peers: map[string]*peer{}}
	var p *peer
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		number, _ := strconv.ParseInt(value, 10, 64)
		switch {
		case name == "private_key":
			s.key = value
		case name == "listen_port":
			s.port = value
		case name == "public_key":
			p = &peer{}
			s.peers[value] = p
		case p == nil:
		case name == "allowed_ip":
			p.allowed = append(p.allowed, value)
		case name == "last_handshake_time_sec" && number > 0:
			p.handshake = time.Unix(number, 0).UTC()
		case name == "rx_bytes":
			p.in = number
		case name == "tx_bytes":
			p.out = number
		}
	}
	return s
}

// Hex is a key as the device's language has it.
func Hex(key string) string {
	b, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(b)
}

// clamped is a private key as the device keeps it: X25519 fixes five bits.
func clamped(key string) string {
	b, err := hex.DecodeString(Hex(key))
	if err != nil || len(b) != 32 {
		return ""
	}
	b[0] &= 248
	b[31] = b[31]&127 | 64
	return hex.EncodeToString(b)
}

// Change is what to tell a device that describes itself as text, and what was
// different. The request is empty where nothing is.
func Change(text string, v edge.VPN) (request string, changed []string) {
	now := read(text)
	var b strings.Builder
	if key := clamped(v.PrivateKey); now.key != key {
		fmt.Fprintf(&b, "private_key=%s\n", key)
		changed = append(changed, "the tunnel's key was another")
	}
	if port := strconv.Itoa(v.Port); now.port != port {
		fmt.Fprintf(&b, "listen_port=%s\n", port)
		changed = append(changed, "the tunnel's port was another")
	}
	wanted := map[string]bool{}
	for _, p := range v.Peers {
		key, allowed := Hex(p.PublicKey), p.Address+"/32"
		wanted[key] = true
		if has := now.peers[key]; has != nil && len(has.allowed) == 1 && has.allowed[0] == allowed {
			continue
		}
		fmt.Fprintf(&b, "public_key=%s\nreplace_allowed_ips=true\nallowed_ip=%s\n", key, allowed)
		changed = append(changed, "device "+p.Address+" was missing")
	}
	for key, p := range now.peers {
		if !wanted[key] {
			fmt.Fprintf(&b, "public_key=%s\nremove=true\n", key)
			changed = append(changed, "device "+strings.Join(p.allowed, ", ")+" was there")
		}
	}
	return b.String(), changed
}

// Observe reads handshakes and bytes.
func Observe(text string, v edge.VPN, instance string, into gateway.Observation) {
	now := read(text)
	for _, p := range v.Peers {
		if has := now.peers[Hex(p.PublicKey)]; has != nil {
			into.Peers[p.ID] = gateway.PeerReading{Instance: instance, Handshake: has.handshake, In: has.in, Out: has.out}
		}
	}
}

// WithoutPort is a request for a device whose socket is bound by other means.
func WithoutPort(request string) string {
	lines := strings.SplitAfter(request, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "listen_port=") }), "")
}
