package vsphere

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	ticketWebMKS   = "webmks"
	defaultMKSPort = 443
)

// Screen is a one-time way to a machine's screen. vSphere keeps the ticket for
// 30 minutes. Ticket and URL open the screen: neither belongs in a log.
type Screen struct {
	Host              string
	Port              int
	Ticket            string
	URL               string   // wss://host:port/ticket/…
	ThumbprintsSHA256 []string // of the certificate at Host; since vSphere 7.0.3
	ThumbprintSHA1    string   // the same for older hosts
}

// String leaves the ticket out, for whoever prints a Screen.
func (s Screen) String() string { return fmt.Sprintf("screen at %s:%d", s.Host, s.Port) }

// GoString does the same for %#v.
func (s Screen) GoString() string { return "vsphere.Screen{" + s.String() + "}" }

// LogValue does the same for slog.
func (s Screen) LogValue() slog.Value { return slog.StringValue(s.String()) }

// AcquireScreen asks for a WebMKS ticket. CodeInvalidState when the machine is
// not powered on, CodeBusy when its limit of viewers is reached.
func (c *Client) AcquireScreen(ctx context.Context, instanceUUID string) (Screen, error) {
	var screen Screen
	err := c.do(ctx, "open the screen of VM "+instanceUUID, func(ctx context.Context, conn *connection) error {
		ref, err := findByUUID(ctx, conn, instanceUUID)
		if err != nil {
			return err
		}
		var loaded mo.VirtualMachine
		properties := []string{"runtime.powerState", "runtime.host"}
		if err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, ref, properties, &loaded); err != nil {
			return err
		}
		if powerOf(loaded.Runtime.PowerState) != PoweredOn {
			return refuse(CodeInvalidState, "the VM is not powered on")
		}
		ticket, err := object.NewVirtualMachine(conn.vim, ref).AcquireTicket(ctx, ticketWebMKS)
		if err != nil {
			return err
		}
		fallback, err := c.screenHost(ctx, conn, ticket.Host, loaded.Runtime.Host)
		if err != nil {
			return err
		}
		screen = screenOf(ticket, fallback)
		return nil
	})
	return screen, err
}

// screenHost is where to connect when the ticket does not say: the ESXi host
// by the name it was added under, in the end vCenter itself.
func (c *Client) screenHost(ctx context.Context, conn *connection, ticketHost string, host *types.ManagedObjectReference) (string, error) {
	if ticketHost != "" {
		return ticketHost, nil
	}
	if host != nil {
		names, err := c.hostNames(ctx, conn, []types.ManagedObjectReference{*host})
		if err != nil {
			return "", err
		}
		if name := names[host.Value]; name != "" {
			return name, nil
		}
	}
	return conn.vim.URL().Hostname(), nil
}

func screenOf(ticket *types.VirtualMachineTicket, host string) Screen {
	screen := Screen{
		Host:           host,
		Port:           int(ticket.Port),
		Ticket:         ticket.Ticket,
		ThumbprintSHA1: ticket.SslThumbprint,
	}
	if screen.Port == 0 {
		screen.Port = defaultMKSPort
	}
	for _, print := range ticket.CertThumbprintList {
		switch strings.ToLower(strings.ReplaceAll(print.HashAlgorithm, "-", "")) {
		case "sha256", "":
			screen.ThumbprintsSHA256 = append(screen.ThumbprintsSHA256, print.Thumbprint)
		}
	}
	address := net.JoinHostPort(strings.Trim(screen.Host, "[]"), strconv.Itoa(screen.Port))
	screen.URL = "wss://" + address + "/ticket/" + url.PathEscape(ticket.Ticket)
	return screen
}
