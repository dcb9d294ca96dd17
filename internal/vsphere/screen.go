package vsphere

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

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

// screenHost is where to connect: where the ticket says, unless it says nothing
// or a name that means nothing here; then the ESXi host, by the name that it
// was added under or its management address; in the end vCenter itself.
func (c *Client) screenHost(ctx context.Context, conn *connection, ticketHost string, host *types.ManagedObjectReference) (string, error) {
	if c.resolves(ctx, ticketHost) {
		return ticketHost, nil
	}
	if host != nil {
		names, err := c.hostNames(ctx, conn, []types.ManagedObjectReference{*host})
		if err != nil {
			return "", err
		}
		if name := names[host.Value]; c.resolves(ctx, name) {
			return name, nil
		}
		var loaded mo.HostSystem
		if err := property.DefaultCollector(conn.vim).RetrieveOne(ctx, *host, []string{"config.virtualNicManagerInfo.netConfig"}, &loaded); err != nil {
			return "", err
		}
		if address := managementAddress(loaded); address != "" {
			return address, nil
		}
	}
	return conn.vim.URL().Hostname(), nil
}

// resolvePatience bounds a look into the name service, which may be away.
const resolvePatience = 3 * time.Second

func (c *Client) resolves(ctx context.Context, host string) bool {
	if host == "" {
		return false
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, resolvePatience)
	defer cancel()
	found, err := c.lookUp(ctx, host)
	return err == nil && len(found) > 0
}

// managementAddress is the address of the host's network card for management.
func managementAddress(host mo.HostSystem) string {
	if host.Config == nil || host.Config.VirtualNicManagerInfo == nil {
		return ""
	}
	for _, config := range host.Config.VirtualNicManagerInfo.NetConfig {
		if config.NicType != string(types.HostVirtualNicManagerNicTypeManagement) {
			continue
		}
		for _, nic := range config.CandidateVnic {
			if nic.Spec.Ip != nil && nic.Spec.Ip.IpAddress != "" {
				return nic.Spec.Ip.IpAddress
			}
		}
	}
	return ""
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
