package lab

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// ticketTTL is how long a screen ticket waits to be used, as on ESXi.
const ticketTTL = 30 * time.Minute

// tickets are the ones handed out and not used yet.
type tickets struct {
	mu   sync.Mutex
	ttl  time.Duration
	open map[string]openTicket
}

type openTicket struct {
	machine types.ManagedObjectReference
	expires time.Time
}

func (t *tickets) init() {
	t.ttl, t.open = ticketTTL, map[string]openTicket{}
}

func (t *tickets) issue(machine types.ManagedObjectReference) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for id, o := range t.open {
		if now.After(o.expires) {
			delete(t.open, id)
		}
	}
	id := rand.Text()
	t.open[id] = openTicket{machine: machine, expires: now.Add(t.ttl)}
	return id
}

// redeem uses a ticket up; it is good once.
func (t *tickets) redeem(id string) (types.ManagedObjectReference, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o, ok := t.open[id]
	delete(t.open, id)
	return o.machine, ok && time.Now().Before(o.expires)
}

// AcquireTicket gives a one-time ticket to the screen of a running machine.
func (b *broker) AcquireTicket(_ *simulator.Context, req *types.AcquireTicket) soap.HasFault {
	v := b.vc
	refuse := func(fault types.BaseMethodFault) soap.HasFault {
		return &methods.AcquireTicketBody{Fault_: simulator.Fault("", fault)}
	}
	if req.TicketType != string(types.VirtualMachineTicketTypeWebmks) {
		return refuse(&types.InvalidArgument{InvalidProperty: "ticketType"})
	}
	var power types.VirtualMachinePowerState
	if !v.withMachine(req.This, func(_ *simulator.Context, vm *simulator.VirtualMachine) { power = vm.Runtime.PowerState }) {
		return refuse(&types.ManagedObjectNotFound{Obj: req.This})
	}
	if power != types.VirtualMachinePowerStatePoweredOn {
		return refuse(&types.InvalidState{})
	}
	host, portText, _ := net.SplitHostPort(v.service.Listen.Host)
	port, _ := strconv.Atoi(portText)
	id := v.tickets.issue(req.This)
	return &methods.AcquireTicketBody{Res: &types.AcquireTicketResponse{Returnval: types.VirtualMachineTicket{
		Ticket: id, CfgFile: "/vmfs/volumes/" + datastoreName, Host: host, Port: int32(port), //nolint:gosec // a port
		SslThumbprint: v.info.ThumbprintSHA1,
		CertThumbprintList: []types.VirtualMachineCertThumbprint{
			{Thumbprint: v.info.ThumbprintSHA256, HashAlgorithm: string(types.VirtualMachineCertThumbprintHashAlgorithmSha256)},
		},
		Url: fmt.Sprintf("wss://%s/ticket/%s", v.service.Listen.Host, id),
	}}}
}

// serveTicket shows the screen that a ticket is for.
func (v *VCenter) serveTicket(w http.ResponseWriter, r *http.Request) {
	machine, ok := v.tickets.redeem(r.PathValue("id"))
	if !ok {
		http.Error(w, "no such ticket", http.StatusForbidden)
		return
	}
	screen, ok := v.screenOf(machine)
	if !ok {
		http.Error(w, "the machine is not powered on", http.StatusConflict)
		return
	}
	up := websocket.Upgrader{
		Subprotocols: []string{"binary"}, ReadBufferSize: 1 << 10, WriteBufferSize: 4 << 10,
		// ESXi takes any origin: the ticket is what lets in.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	if !offersBinary(r) {
		http.Error(w, "the subprotocol binary is needed", http.StatusBadRequest)
		return
	}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	newViewer(screen, v.glyphs(), ws).serve()
}

func offersBinary(r *http.Request) bool {
	return slices.Contains(websocket.Subprotocols(r), "binary")
}

// screenOf returns the screen of a running machine, made when it is first
// looked at.
func (v *VCenter) screenOf(ref types.ManagedObjectReference) (*screen, bool) {
	var (
		s  *screen
		on bool
	)
	v.withMachine(ref, func(_ *simulator.Context, vm *simulator.VirtualMachine) {
		if on = vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn; !on {
			return
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		res := v.residents[ref]
		if res == nil {
			on = false
			return
		}
		if res.screen == nil {
			m := v.describe(&vm.VirtualMachine, res.facts)
			if len(m.Addresses) == 0 && len(m.NICs) > 0 {
				m.Addresses = []string{lease(m.NICs[0].MAC)}
			}
			res.screen = newScreen(m, hooks{
				powerOff: func() { v.powerOff(ref) },
				reboot:   func() { v.reboot(ref) },
				cd:       res.inserted,
				lockDoor: res.doorLocked.Store,
			})
			res.screen.boot(res.boot.at, v.options.GuestBootDelay)
		}
		s = res.screen
	})
	return s, on
}
