package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/types"
)

// VCenter is one simulated vCenter, serving until Close.
type VCenter struct {
	options  VCenterOptions
	identity *identity
	info     Info
	service  *simulator.Service
	registry *simulator.Registry
	place    place
	scratch  string
	unlock   func()

	// inventory is the one mutex around everything that makes, renames or
	// finds by name; see the package's doc.
	inventory sync.Mutex
	journal   *journal
	quiet     atomic.Bool // replaying: nothing is journalled, guests are up at once
	builds    sync.Map    // *simulator.Context → facts of the machine it makes
	nextHost  atomic.Int64

	faults  faults
	tickets tickets
	clones  clones
	feeds   feeds
	glyphs  func() *glyphs

	mu        sync.Mutex
	residents map[types.ManagedObjectReference]*resident
	macs      map[string]string // address → key of its machine
	paths     map[types.ManagedObjectReference]entry
	waiting   map[types.ManagedObjectReference]chan struct{} // tasks awaited

	server *http.Server
	closed chan struct{}
	done   chan struct{} // the server has ended
}

// NewVCenter starts a simulated vCenter in this process and returns when it
// serves, with all machines of its journal there again.
func NewVCenter(o VCenterOptions) (*VCenter, error) {
	o, err := o.normalised()
	if err != nil {
		return nil, err
	}
	id, err := loadIdentity(o.Dir)
	if err != nil {
		return nil, err
	}
	unlock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	v := &VCenter{
		options: o, identity: id, unlock: unlock,
		residents: map[types.ManagedObjectReference]*resident{},
		macs:      map[string]string{},
		paths:     map[types.ManagedObjectReference]entry{},
		waiting:   map[types.ManagedObjectReference]chan struct{}{},
		glyphs:    sync.OnceValue(newGlyphs),
		closed:    make(chan struct{}), done: make(chan struct{}),
	}
	v.tickets.init()
	v.faults.setCloneDelay(o.CloneDelay)
	if err := v.open(); err != nil {
		_ = v.journal.close()
		_ = os.RemoveAll(v.scratch)
		unlock()
		return nil, err
	}
	return v, nil
}

// simulatorGlobals guards what the simulator shares between all vCenters of a
// process while it sets one up (licences, host numbers). It has no state of
// ours.
var simulatorGlobals sync.Mutex

func (v *VCenter) open() error {
	scratch, err := makeScratch(v.options.Dir)
	if err != nil {
		return err
	}
	v.scratch = scratch
	j, inv, err := openJournal(v.options.Dir, v.seed)
	if err != nil {
		return err
	}
	v.journal = j

	simulatorGlobals.Lock()
	defer simulatorGlobals.Unlock()
	ctx, instance := simulator.NewServiceInstance(simulator.NewContext(), vpx.ServiceContent, vpx.RootFolder)
	instance.Content.About.InstanceUuid = v.identity.InstanceUUID
	instance.Content.About.Name = "VMware vCenter Server (Millwright lab, " + v.options.Name + ")"
	v.service = simulator.New(ctx, instance)
	v.registry = ctx.Map
	v.service.RegisterSDK(v.registry, v.registry.Path+"/vimService")
	if err := v.skipReferences(); err != nil {
		return err
	}
	v.registry.AddHandler(&recorder{v})
	v.quiet.Store(true)
	if err := v.layOut(context.Background()); err != nil {
		return err
	}
	if err := v.addTemplates(); err != nil {
		return err
	}
	if err := v.replay(inv); err != nil {
		return err
	}
	v.quiet.Store(false)
	b := &broker{vc: v}
	b.Self = brokerRef
	v.registry.Put(b)
	v.registry.Handler = v.intercept
	return v.listen()
}

// skipReferences moves the simulator's counter to where this start's
// references begin.
func (v *VCenter) skipReferences() error {
	marker := &broker{vc: v}
	marker.Self = types.ManagedObjectReference{Type: "LabEpoch", Value: fmt.Sprintf("labepoch-%d", v.identity.Epoch*1_000_000)}
	v.registry.Put(marker)
	if err := v.registry.AlignCounter(); err != nil {
		return fmt.Errorf("lab: set reference counter: %w", err)
	}
	v.registry.Remove(v.context(), marker.Self)
	return nil
}

// context returns a fresh context of the simulator: its address is the
// identity that object locks are held under.
func (v *VCenter) context() *simulator.Context {
	c := *v.service.Context
	return &c
}

// listen opens the port and serves. With port 0 it prefers the port of the
// last run.
func (v *VCenter) listen() error {
	addr := v.options.Addr
	if host, port, _ := net.SplitHostPort(addr); port == "0" {
		if last, ok := lastPort(v.options.Dir); ok {
			addr = net.JoinHostPort(host, last)
		}
	}
	var listener net.ListenConfig
	ln, err := listener.Listen(context.Background(), "tcp", addr)
	if err != nil && addr != v.options.Addr {
		ln, err = listener.Listen(context.Background(), "tcp", v.options.Addr)
	}
	if err != nil {
		return fmt.Errorf("lab: listen: %w", err)
	}
	base := &url.URL{
		Scheme: "https", Host: ln.Addr().String(), Path: v.registry.Path,
		User: url.UserPassword(username, v.identity.Password),
	}
	v.service.Listen = base
	v.info = Info{
		URL: "https://" + base.Host + base.Path, Username: username, Password: v.identity.Password,
		ThumbprintSHA256: v.identity.sha256(), ThumbprintSHA1: v.identity.sha1(), InstanceUUID: v.identity.InstanceUUID,
	}
	if err := writeJSON(filepath.Join(v.options.Dir, infoName), v.info); err != nil {
		_ = ln.Close()
		return err
	}
	v.server = v.newServer(base.Host)
	go func() {
		defer close(v.done)
		_ = v.server.ServeTLS(ln, "", "") // ends by Close
	}()
	return nil
}

const infoName = "vcenter.json"

func lastPort(dir string) (string, bool) {
	b, err := os.ReadFile(filepath.Join(dir, infoName))
	if err != nil {
		return "", false
	}
	var last Info
	if json.Unmarshal(b, &last) != nil {
		return "", false
	}
	u, err := url.Parse(last.URL)
	if err != nil || u.Port() == "" {
		return "", false
	}
	return u.Port(), true
}

// seed reads the seed file into a first inventory.
func (v *VCenter) seed() (inventory, error) {
	if v.options.Seed == "" {
		return inventory{}, nil
	}
	b, err := os.ReadFile(v.options.Seed)
	if err != nil {
		return inventory{}, fmt.Errorf("lab: read seed: %w", err)
	}
	var seeds []SeedMachine
	if err := json.Unmarshal(b, &seeds); err != nil {
		return inventory{}, fmt.Errorf("lab: read seed: %w", err)
	}
	var inv inventory
	now := time.Now().UTC()
	for _, s := range seeds {
		if !validName(s.Name) {
			return inventory{}, fmt.Errorf("lab: seed: %q is no name of a machine", s.Name)
		}
		m := s.machine()
		m.Key = uuid.NewString()
		m.BootedAt = &now
		inv.machines = append(inv.machines, m)
	}
	return inv, nil
}

// Info tells how to reach the vCenter.
func (v *VCenter) Info() Info { return v.info }

// URL is the SDK's address, without credentials.
func (v *VCenter) URL() string { return v.info.URL }

// Username of the account that may log in.
func (v *VCenter) Username() string { return v.info.Username }

// Password of that account.
func (v *VCenter) Password() string { return v.info.Password }

// Close ends the vCenter: open calls and screens are cut, the journal keeps
// what was answered.
func (v *VCenter) Close() error {
	select {
	case <-v.closed:
		return nil
	default:
		close(v.closed)
	}
	v.faults.clear()
	err := v.server.Close()
	<-v.done
	for _, ref := range v.residentRefs() {
		v.mu.Lock()
		res := v.residents[ref]
		v.mu.Unlock()
		if res != nil {
			v.stopGuest(res)
			v.mu.Lock()
			res.unplug()
			v.mu.Unlock()
		}
	}
	err = errors.Join(err, v.journal.failed(), v.journal.close(), os.RemoveAll(v.scratch))
	v.unlock()
	return err
}

func (v *VCenter) newServer(host string) *http.Server {
	mux := v.service.ServeMux
	mux.HandleFunc("GET "+v.registry.Path+"/vimServiceVersions.xml", v.service.ServiceVersions)
	mux.HandleFunc("GET /ticket/{id}", v.serveTicket)
	mux.HandleFunc("GET /lab/machines", v.guarded(v.serveMachines))
	mux.HandleFunc("GET /lab/guests", v.guarded(v.serveWires))
	mux.HandleFunc("POST /lab/faults", v.guarded(v.serveFaults))
	v.registry.SessionManager().ServiceHostName = host
	s := &http.Server{
		Handler:           v.gate(mux),
		TLSConfig:         serverTLS(v.identity.certificate),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // handshakes that clients give up
		ConnState:         v.faults.connState,
	}
	return s
}
