package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/render"
)

// haproxy is one org's.
type haproxy struct {
	ns      namespace
	key     string
	program string
	dir     string // configuration, health and an empty folder to be locked into
	socket  string
}

func (p haproxy) config() string { return filepath.Join(p.dir, "haproxy.cfg") }
func (p haproxy) health() string { return filepath.Join(p.dir, "servers") }

// connectionsMost bounds what one org may have open. A connection takes two
// descriptors, and two more while it is spliced.
const connectionsMost = 20_000

func (p haproxy) options() render.HAProxyOptions {
	most := connectionsMost
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Max < 4*connectionsMost+8192 {
		most = max(256, (int(limit.Max)-4096)/4) // #nosec G115 -- smaller than the line above says
	}
	return render.HAProxyOptions{Socket: p.socket, StateFile: p.health(), Chroot: filepath.Join(p.dir, "empty"), MaxConn: most}
}

// ask sends one command to the runtime socket.
func (p haproxy) ask(ctx context.Context, command string) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", p.socket)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // answered or not
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}

// process is a running HAProxy.
type process struct {
	pid       int
	structure string
}

var descriptionForm = regexp.MustCompile(`(?m)^[Dd]escription: mw-([a-z0-9]+) gen=\d+ structure=([0-9a-f]+)`)

// structureOf reads it from a configuration.
func structureOf(config []byte) string {
	if m := configForm.FindSubmatch(config); m != nil {
		return string(m[1])
	}
	return ""
}

var configForm = regexp.MustCompile(`(?m)^\tdescription "mw-[a-z0-9]+ gen=\d+ structure=([0-9a-f]+)"$`)
var pidForm = regexp.MustCompile(`(?m)^Pid: (\d+)`)

// running asks the process itself; a pid in a file may be anybody's by now.
func (p haproxy) running(ctx context.Context) (process, bool) {
	text, err := p.ask(ctx, "show info")
	if err != nil {
		return process{}, false
	}
	d, n := descriptionForm.FindStringSubmatch(text), pidForm.FindStringSubmatch(text)
	if d == nil || n == nil || d[1] != p.key {
		return process{}, false
	}
	pid, _ := strconv.Atoi(n[1])
	return process{pid: pid, structure: d[2]}, true
}

func (p haproxy) check(ctx context.Context, path string) error {
	_, err := p.ns.run(ctx, "", p.program, "-c", "-f", path)
	return alerts(err)
}

// alerts leaves what HAProxy says of itself, and its warnings, out of a
// complaint, which would not fit otherwise.
func alerts(err error) error {
	var failed *commandError
	if !errors.As(err, &failed) {
		return err
	}
	var list []string
	for line := range strings.Lines(failed.text) {
		if strings.HasPrefix(line, "[ALERT]") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	if len(list) > 0 {
		failed.text = strings.Join(list, "\n")
	}
	return failed
}

// startPatience is for a few thousand listeners on a busy host.
const startPatience = 10 * time.Second

// start runs the configuration. A process that runs already hands its
// listening sockets over, so that no connection is refused meanwhile, and ends
// when its last connection does. One that can't start leaves the old as it is.
func (p haproxy) start(ctx context.Context, structure string) error {
	args := []string{"-D", "-f", p.config()}
	if old, is := p.running(ctx); is {
		if text, err := p.ask(ctx, "show servers state"); err == nil {
			if err := os.WriteFile(p.health(), []byte(text), 0o600); err != nil {
				return err
			}
		}
		args = append(args, "-x", p.socket, "-sf", strconv.Itoa(old.pid))
	} else {
		p.ns.end(p.config()) // one that hangs would keep the ports
	}
	if _, err := p.ns.run(ctx, "", p.program, args...); err != nil {
		return alerts(err)
	}
	deadline := time.Now().Add(startPatience)
	for {
		if now, is := p.running(ctx); is && now.structure == structure {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return errors.New("haproxy: it started, but does not run what it was given")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// stop ends it for good: the org has no TCP service any more.
func (p haproxy) stop(ctx context.Context) {
	if now, is := p.running(ctx); is {
		_ = syscall.Kill(now.pid, syscall.SIGUSR1)
	}
}

// server is a line of the statistics.
type server struct {
	proxy, name    string
	status         string
	check          string
	open           int
	total, in, out int64
}

func (p haproxy) stats(ctx context.Context) (map[string]server, error) {
	text, err := p.ask(ctx, "show stat -1 4 -1")
	if err != nil {
		return nil, fmt.Errorf("read statistics: %w", err)
	}
	out := map[string]server{}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	columns := map[string]int{}
	for lines.Scan() {
		line := strings.TrimPrefix(lines.Text(), "# ")
		if line == "" {
			continue
		}
		f := strings.Split(line, ",")
		if len(columns) == 0 {
			for i, name := range f {
				columns[name] = i
			}
			continue
		}
		get := func(name string) string {
			if i, ok := columns[name]; ok && i < len(f) {
				return strings.Trim(f[i], `"`)
			}
			return ""
		}
		number := func(name string) int64 { n, _ := strconv.ParseInt(get(name), 10, 64); return n }
		s := server{proxy: get("pxname"), name: get("svname"), status: get("status"), open: int(number("scur")),
			total: number("stot"), in: number("bin"), out: number("bout")}
		s.check = checkWords(get("check_status"), get("check_code"), get("last_chk"))
		out[s.proxy+"/"+s.name] = s
	}
	return out, lines.Err()
}

// checkWords says what HAProxy's last check met, in words.
func checkWords(status, code, last string) string {
	words := map[string]string{
		"L4OK": "connected", "L4TOUT": "no answer to the connection", "L4CON": "the connection failed",
		"L7OK": "answered", "L7STS": "answered with another status", "L7TOUT": "no answer to the request", "L7RSP": "the answer is no HTTP",
		"SOCKERR": "socket error",
	}
	text, known := words[strings.TrimPrefix(status, "* ")]
	if !known {
		text = strings.ToLower(strings.TrimPrefix(status, "* "))
	}
	if code != "" && code != "0" {
		text += " " + code
	}
	if last != "" && !strings.EqualFold(last, text) {
		text += ": " + last
	}
	return strings.TrimSpace(text)
}

// settle brings each node's administrative state to what is wanted, without a
// reload. A node that is taken out loses its connections; one that drains
// keeps them.
func (p haproxy) settle(ctx context.Context, org edge.Org) (changed []string, err error) {
	stats, err := p.stats(ctx)
	if err != nil {
		return nil, err
	}
	var commands bytes.Buffer
	for i := range org.Services {
		s := &org.Services[i]
		if !render.HasHAProxy(*s) {
			continue
		}
		for _, n := range s.Nodes {
			at := render.Proxy(*s) + "/" + render.Server(n)
			now, known := stats[at]
			if !known {
				return changed, fmt.Errorf("haproxy does not know %s", at)
			}
			want, is := "ready", "ready"
			switch {
			case !n.Enabled:
				want = "maint"
			case n.Draining:
				want = "drain"
			}
			switch {
			case strings.HasPrefix(now.status, "MAINT"):
				is = "maint"
			case strings.HasPrefix(now.status, "DRAIN"):
				is = "drain"
			}
			// Of a dead one the statistics don't tell whether it is drained. It is
			// said again, so that it comes back as it is wanted, and is nobody's
			// doing.
			dead := strings.HasPrefix(now.status, "DOWN") && want != "maint"
			if want == is && !dead {
				continue
			}
			fmt.Fprintf(&commands, "set server %s state %s;", at, want)
			if want == "maint" {
				fmt.Fprintf(&commands, "shutdown sessions server %s;", at)
			}
			if dead {
				continue
			}
			changed = append(changed, fmt.Sprintf("node %s:%d was %s", n.Address, n.Port, now.status))
		}
	}
	return changed, p.tell(ctx, commands.String())
}

// lineMost is how much of a command line HAProxy reads.
const lineMost = 8000

// tell sends commands, as many at a time as fit.
func (p haproxy) tell(ctx context.Context, commands string) error {
	for commands != "" {
		part := commands
		if len(part) > lineMost {
			part = part[:strings.LastIndexByte(part[:lineMost], ';')+1]
		}
		commands = commands[len(part):]
		answer, err := p.ask(ctx, strings.TrimSuffix(part, ";"))
		if err != nil {
			return fmt.Errorf("haproxy: %w", err)
		}
		if answer = strings.TrimSpace(answer); answer != "" {
			return fmt.Errorf("haproxy says: %s", answer)
		}
	}
	return nil
}

// observe reads the nodes of the TCP and HTTP services.
func (p haproxy) observe(ctx context.Context, org edge.Org, into gateway.Observation) error {
	now, is := p.running(ctx)
	stats := map[string]server{}
	if is {
		var err error
		if stats, err = p.stats(ctx); err != nil {
			return err
		}
	}
	instance := "haproxy " + strconv.Itoa(now.pid) + " " + now.structure
	for i := range org.Services {
		s := &org.Services[i]
		if s.Protocol == edge.ProtocolUDP {
			continue
		}
		reading := into.Services[s.ID]
		for _, n := range s.Nodes {
			at, known := stats[render.Proxy(*s)+"/"+render.Server(n)]
			node := gateway.NodeReading{Instance: instance, In: at.in, Out: at.out, Total: at.total, Open: at.open, Reason: at.check, State: edge.NodeUp}
			switch {
			case !n.Enabled:
				node.State, node.Reason = edge.NodeOff, ""
			case !s.Enabled:
				node.State, node.Reason = edge.NodeOff, "the service is off"
			case n.Draining:
				node.State = edge.NodeDraining
			case !known:
				node.State, node.Reason = edge.NodeDown, "HAProxy does not run"
			case strings.HasPrefix(at.status, "DOWN"), strings.HasPrefix(at.status, "NOLB"):
				node.State = edge.NodeDown
				if node.Reason == "" || strings.HasPrefix(node.Reason, "connected") || strings.HasPrefix(node.Reason, "answered 2") {
					node.Reason = "a connection to it failed"
				}
			case s.Monitor == nil:
				node.State, node.Reason = edge.NodeUnmonitored, ""
			}
			reading.Nodes[n.ID] = node
		}
		into.Services[s.ID] = reading
	}
	return nil
}
