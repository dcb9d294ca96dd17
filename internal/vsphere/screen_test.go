package vsphere

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func (v *vcenter) ticket(fields string) {
	v.answer("AcquireTicket", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><AcquireTicketResponse xmlns="urn:vim25"><returnval><ticket>cst-secret</ticket><cfgFile>x.vmx</cfgFile>`+fields+`</returnval></AcquireTicketResponse></soapenv:Body></soapenv:Envelope>`)
	})
}

func TestScreenNeedsARunningMachine(t *testing.T) {
	t.Parallel()
	v := startVCenter(t)
	c := v.client()
	unknown := map[string]bool{}
	c.lookUp = func(_ context.Context, host string) ([]string, error) {
		if unknown[host] {
			return nil, errors.New("no such host")
		}
		return []string{"192.0.2.7"}, nil
	}
	vm := v.otherVM()
	_, err := c.AcquireScreen(t.Context(), machineUUID)
	wantCode(t, err, CodeNotFound)
	_, err = c.AcquireScreen(t.Context(), vm.Config.InstanceUuid)
	wantCode(t, err, CodeInvalidState)
	if v.count("AcquireTicket") != 0 {
		t.Error("asked for a ticket in vain")
	}

	task, err := c.StartPower(t.Context(), vm.Self.Value, PowerOn)
	await(t, c, task, err)
	v.ticket(`<host>esx-7.example</host><port>443</port><sslThumbprint>AA:BB</sslThumbprint>` +
		`<certThumbprintList><thumbprint>11:22</thumbprint><hashAlgorithm>sha256</hashAlgorithm></certThumbprintList>` +
		`<certThumbprintList><thumbprint>33:44</thumbprint><hashAlgorithm>sha512</hashAlgorithm></certThumbprintList>`)
	screen, err := c.AcquireScreen(t.Context(), vm.Config.InstanceUuid)
	if err != nil {
		t.Fatal(err)
	}
	if screen.URL != "wss://esx-7.example:443/ticket/cst-secret" || screen.ThumbprintSHA1 != "AA:BB" ||
		len(screen.ThumbprintsSHA256) != 1 || screen.ThumbprintsSHA256[0] != "11:22" {
		t.Errorf("%+v", []any{screen.URL, screen.ThumbprintSHA1, screen.ThumbprintsSHA256})
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", screen, screen, screen), screen.LogValue().String()} {
		if strings.Contains(shown, "secret") {
			t.Errorf("the ticket shows: %s", shown)
		}
	}

	v.ticket("") // vCenter may leave host and port out
	screen, err = c.AcquireScreen(t.Context(), vm.Config.InstanceUuid)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(screen.Host, "DC0_C0_H") || screen.Port != defaultMKSPort {
		t.Errorf("without a host: %s:%d", screen.Host, screen.Port)
	}

	// A name that only the hypervisors know leads to the ESXi host, and one of
	// that too to its management address.
	name := screen.Host
	unknown["esx-7.internal"] = true
	v.ticket(`<host>esx-7.internal</host><port>443</port>`)
	if screen, err = c.AcquireScreen(t.Context(), vm.Config.InstanceUuid); err != nil || screen.Host != name {
		t.Errorf("with an unknown host: %s, want %s (%v)", screen.Host, name, err)
	}
	unknown[name] = true
	if screen, err = c.AcquireScreen(t.Context(), vm.Config.InstanceUuid); err != nil || net.ParseIP(screen.Host) == nil {
		t.Errorf("with unknown names only: %s (%v)", screen.Host, err)
	}
}

func TestScreenURLIsWellFormed(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"fd00::7":   "wss://[fd00::7]:902/ticket/t%2F..%3Fx",
		"[fd00::7]": "wss://[fd00::7]:902/ticket/t%2F..%3Fx",
		"esx":       "wss://esx:902/ticket/t%2F..%3Fx",
	} {
		got := screenOf(&types.VirtualMachineTicket{Ticket: "t/..?x", Port: 902}, host).URL
		if got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}
