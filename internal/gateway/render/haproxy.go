package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/millwright/millwright/internal/edge"
)

// HAProxyOptions is what the host adds to the state.
type HAProxyOptions struct {
	Socket    string // the runtime socket's path
	StateFile string // servers' health, kept over a reload
	Chroot    string
	MaxConn   int
}

// HAProxyConfig is a rendered configuration.
type HAProxyConfig struct {
	Text string
	// Structure is the hash of all that needs a reload; nodes that are switched
	// off or on don't. It stands in the running process's description.
	Structure string
}

// HasHAProxy tells whether a service is HAProxy's to carry.
func HasHAProxy(s edge.Service) bool { return s.Enabled && s.Protocol != edge.ProtocolUDP }

// Proxy is the name of a service's section.
func Proxy(s edge.Service) string { return "svc_" + strconv.Itoa(s.Mark) }

// Server is the name of a node within its section.
func Server(n edge.Node) string {
	return "n" + strings.ReplaceAll(n.Address, ".", "_") + "_" + strconv.Itoa(n.Port)
}

// HAProxy renders the TCP and HTTP services of an org.
//
// The settings around connecting are those that lose no new connection when a
// node dies: one second to connect, a retry that goes to another node at once,
// and a failed connection marks the node down. on-marked-down
// shutdown-sessions would kill the very sessions that wait for their retry.
func HAProxy(org edge.Org, o HAProxyOptions) HAProxyConfig {
	sum := sha256.Sum256([]byte(haproxy(org, o, "", false)))
	structure := hex.EncodeToString(sum[:8])
	description := fmt.Sprintf("mw-%s gen=%d structure=%s", org.Key, org.Generation, structure)
	return HAProxyConfig{Text: haproxy(org, o, description, true), Structure: structure}
}

func haproxy(org edge.Org, o HAProxyOptions, description string, states bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
	description "%s"
	stats socket %s mode 600 level admin expose-fd listeners
	stats timeout 1m
	server-state-file %s
	chroot %s
	maxconn %d
	hard-stop-after 24h

defaults
	load-server-state-from-file global
	timeout connect 1s
	timeout check 2s
	timeout queue 5s
	timeout http-request 15s
	retries 2
	option redispatch 1
	option splice-auto
	default-server inter 1s fastinter 300ms fall 2 rise 2 observe layer4 error-limit 1 on-error mark-down
`, description, o.Socket, o.StateFile, o.Chroot, o.MaxConn)
	for i := range org.Services {
		if s := org.Services[i]; HasHAProxy(s) {
			listen(&b, s, states)
		}
	}
	return b.String()
}

func listen(b *strings.Builder, s edge.Service, states bool) {
	b.WriteByte('\n')
	begin(b, s.ID)
	defer end(b)
	fmt.Fprintf(b, "listen %s\n\tbind %s:%d\n", Proxy(s), s.PublicIP, s.Port)
	idle := s.IdleTimeoutSeconds
	fmt.Fprintf(b, "\ttimeout client %ds\n\ttimeout server %ds\n\ttimeout tunnel %ds\n", idle, idle, idle)
	// The machine sees who came.
	b.WriteString("\tsource 0.0.0.0 usesrc clientip\n")
	switch s.Balancing {
	case edge.BalanceRound:
		b.WriteString("\tbalance roundrobin\n")
	case edge.BalanceSource:
		b.WriteString("\tbalance source\n\thash-type consistent\n")
	default:
		b.WriteString("\tbalance leastconn\n")
	}
	if s.Protocol == edge.ProtocolHTTP {
		fmt.Fprintf(b, "\tmode http\n\ttimeout http-keep-alive %ds\n", min(idle, 60))
		b.WriteString("\thttp-request set-header X-Forwarded-For %[src]\n")
		// A node that dies with a request in its hands: ask another one, but
		// only what may be asked twice.
		b.WriteString("\tretry-on conn-failure empty-response\n" +
			"\thttp-request disable-l7-retry if !{ method GET HEAD OPTIONS }\n")
	} else {
		// No rule that refuses while no server is up: a process that is just
		// starting counts none for a moment, and would refuse what comes then.
		b.WriteString("\tmode tcp\n")
	}
	check := ""
	if m := s.Monitor; m != nil {
		check = " check"
		if m.Kind == "http" {
			want := "200-399"
			if m.Status != 0 {
				want = strconv.Itoa(m.Status)
			}
			fmt.Fprintf(b, "\toption httpchk\n\thttp-check send meth GET uri %s ver HTTP/1.1 hdr Host %s hdr Connection close\n\thttp-check expect status %s\n",
				m.Path, s.PublicIP, want)
		}
	} else {
		// Nothing would bring a node back that was marked down.
		b.WriteString("\tdefault-server no-check no-agent-check\n")
	}
	for _, n := range s.Nodes {
		state := ""
		if states && !n.Enabled {
			state = " disabled"
		}
		fmt.Fprintf(b, "\tserver %s %s:%d%s%s\n", Server(n), n.Address, n.Port, check, state)
	}
}
