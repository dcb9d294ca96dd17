package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/render"
	"github.com/millwright/millwright/internal/gateway/wg"
)

// tunnelMTU leaves room for WireGuard's headers on a path of 1500.
const tunnelMTU = 1420

// ServeTunnel is the body of the process that holds an org's WireGuard: a TUN
// in the namespace that it was started in, set up over its socket in
// WireGuard's own language. It is a process of its own so that the agent can
// be killed and replaced while devices stay connected.
func ServeTunnel(ctx context.Context, socket string) error {
	link, err := tun.CreateTUN(render.Tunnel, tunnelMTU)
	if err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	quiet := &device.Logger{Verbosef: device.DiscardLogf, Errorf: log.New(os.Stderr, "tunnel: ", log.LstdFlags).Printf}
	wireguard := device.NewDevice(link, conn.NewDefaultBind(), quiet)
	defer wireguard.Close()
	if err := wireguard.Up(); err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	_ = os.Remove(socket)
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	defer listener.Close() //nolint:errcheck // ending
	if err := os.Chmod(socket, 0o600); err != nil {
		return err
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-wireguard.Wait(): // its interface was taken away
		}
		_ = listener.Close()
	}()
	for {
		c, err := listener.Accept()
		if err != nil {
			return nil // closed: asked to end
		}
		go wireguard.IpcHandle(c)
	}
}

// tunnel is how the agent speaks to that process.
type tunnel struct {
	ns         namespace
	executable string
	socket     string
	log        string
}

func (t tunnel) ask(ctx context.Context, request string) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "unix", t.socket)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // answered or not
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	var b strings.Builder
	for s := bufio.NewScanner(c); s.Scan() && s.Text() != ""; {
		b.WriteString(s.Text() + "\n")
	}
	if !strings.Contains(b.String(), "errno=0\n") {
		return "", fmt.Errorf("wireguard answers %q", strings.TrimSpace(b.String()))
	}
	return b.String(), nil
}

// ensure has the process run, and says whether it had to be started.
func (t tunnel) ensure(ctx context.Context) (bool, error) {
	if _, err := t.ask(ctx, "get=1\n\n"); err == nil {
		return false, nil
	}
	t.ns.end(t.socket)
	if err := os.MkdirAll(filepath.Dir(t.log), 0o700); err != nil {
		return false, err
	}
	out, err := os.OpenFile(t.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return false, err
	}
	defer out.Close()                                                                                         //nolint:errcheck // the child has its own
	cmd := exec.CommandContext(context.WithoutCancel(ctx), t.executable, "edge-tunnel", "--socket", t.socket) // #nosec G204 -- ourselves; it outlives the agent
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := t.ns.do(cmd.Start); err != nil {
		return false, fmt.Errorf("start the tunnel: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	for deadline := time.Now().Add(startPatience); time.Now().Before(deadline); {
		if _, err := t.ask(ctx, "get=1\n\n"); err == nil {
			return true, nil
		}
		select {
		case <-ended:
			return false, fmt.Errorf("the tunnel ended at once; see %s", t.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false, errors.New("the tunnel does not answer")
}

// settle tells the differences only: a peer that stays keeps its session.
func (t tunnel) settle(ctx context.Context, v edge.VPN) (changed []string, err error) {
	text, err := t.ask(ctx, "get=1\n\n")
	if err != nil {
		return nil, err
	}
	request, changed := wg.Change(text, v)
	if request == "" {
		return nil, nil
	}
	_, err = t.ask(ctx, "set=1\n"+request+"\n")
	return changed, err
}

func (t tunnel) observe(ctx context.Context, v edge.VPN, into gateway.Observation) error {
	text, err := t.ask(ctx, "get=1\n\n")
	if err != nil {
		return err
	}
	info, err := os.Stat(t.socket)
	if err != nil {
		return err
	}
	instance := "tunnel " + strconv.FormatInt(info.ModTime().UnixNano(), 36)
	wg.Observe(text, v, instance, into)
	return nil
}
