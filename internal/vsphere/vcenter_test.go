package vsphere

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	testUser     = "millwright@vsphere.local"
	testPassword = "s3cret-Hunter2"
)

// vcenter is a simulated vCenter behind a TLS front door that counts calls and
// can answer in its place.
type vcenter struct {
	t       *testing.T
	model   *simulator.Model
	backend *url.URL
	front   *httptest.Server
	down    chan struct{} // closed when the test is over

	mu      sync.Mutex
	calls   map[string]int
	answers map[string]http.HandlerFunc
}

var soapMethod = regexp.MustCompile(`Body[^>]*>\s*<(\w+)`)

// building guards the making of simulators: they share a table of licences.
var building sync.Mutex

// startVCenter starts one with 2 VMs in a cluster of 3 hosts.
func startVCenter(t *testing.T) *vcenter {
	t.Helper()
	model := simulator.VPX()
	model.Host = 0 // the cluster's hosts only
	model.Autostart = false
	building.Lock()
	err := model.Create()
	building.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	model.Service.Listen = &url.URL{User: url.UserPassword(testUser, testPassword), Host: "127.0.0.1:0"}
	server := model.Service.NewServer()
	v := &vcenter{
		t:       t,
		model:   model,
		backend: server.URL,
		down:    make(chan struct{}),
		calls:   map[string]int{},
		answers: map[string]http.HandlerFunc{},
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.URL.Host})
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	v.front = httptest.NewUnstartedServer(v.handler(proxy))
	v.front.Config.ErrorLog = log.New(io.Discard, "", 0) // refused certificates are the point of some tests
	v.front.StartTLS()
	t.Cleanup(func() {
		close(v.down)
		v.front.CloseClientConnections()
		v.front.Close()
		server.Close()
		model.Remove()
	})
	return v
}

func (v *vcenter) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		method := ""
		if found := soapMethod.FindSubmatch(body); found != nil {
			method = string(found[1])
		}
		v.mu.Lock()
		v.calls[method]++
		answer := v.answers[method]
		if answer == nil {
			answer = v.answers["*"]
		}
		v.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// answer replaces vCenter's answers to a method, "*" for all; nil ends it.
func (v *vcenter) answer(method string, with http.HandlerFunc) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if with == nil {
		delete(v.answers, method)
		return
	}
	v.answers[method] = with
}

// hang takes calls and never answers.
func (v *vcenter) hang(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-v.down:
	}
}

func (v *vcenter) count(method string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.calls[method]
}

func (v *vcenter) pin() string {
	sum := sha256.Sum256(v.front.Certificate().Raw)
	return hex.EncodeToString(sum[:])
}

func (v *vcenter) config() Config {
	return Config{
		Slug:             "public",
		URL:              v.front.URL,
		Username:         testUser,
		Password:         testPassword,
		ThumbprintSHA256: v.pin(),
		CallTimeout:      10 * time.Second,
		Logger:           slog.New(slog.DiscardHandler),
	}
}

func (v *vcenter) client(changes ...func(*Config)) *Client {
	v.t.Helper()
	cfg := v.config()
	for _, change := range changes {
		change(&cfg)
	}
	c := New(cfg)
	c.watchWait = time.Second
	v.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// bare is govmomi's own client on the same vCenter: other hands.
func (v *vcenter) bare() *govmomi.Client {
	v.t.Helper()
	u := *v.backend
	u.User = url.UserPassword(testUser, testPassword)
	c, err := govmomi.NewClient(v.t.Context(), &u, true)
	if err != nil {
		v.t.Fatal(err)
	}
	return c
}

// sessions lists the service account's sessions but for the caller's own.
func (v *vcenter) sessions(bare *govmomi.Client) []string {
	v.t.Helper()
	var manager mo.SessionManager
	if err := bare.RetrieveOne(v.t.Context(), bare.SessionManager.Reference(), []string{"sessionList", "currentSession"}, &manager); err != nil {
		v.t.Fatal(err)
	}
	var keys []string
	for _, s := range manager.SessionList {
		if s.Key != manager.CurrentSession.Key {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// dropSessions ends every session but the caller's own.
func (v *vcenter) dropSessions(bare *govmomi.Client) {
	v.t.Helper()
	if keys := v.sessions(bare); len(keys) > 0 {
		if err := bare.SessionManager.TerminateSession(v.t.Context(), keys); err != nil {
			v.t.Fatal(err)
		}
	}
}

// template makes the model's first VM a template with a given UUID.
func (v *vcenter) template() string {
	v.t.Helper()
	const uuid = "0195f3a0-0000-7000-8000-00000000aaaa"
	bare := v.bare()
	defer func() { _ = bare.Logout(context.Background()) }()
	vm := v.anyVM()
	handle := object.NewVirtualMachine(bare.Client, vm.Self)
	task, err := handle.Reconfigure(v.t.Context(), types.VirtualMachineConfigSpec{InstanceUuid: uuid})
	if err == nil {
		err = task.Wait(v.t.Context())
	}
	if err == nil {
		err = handle.MarkAsTemplate(v.t.Context())
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return uuid
}

func (v *vcenter) anyVM() *simulator.VirtualMachine {
	v.t.Helper()
	all := v.model.Map().All(kindVM)
	for _, one := range all {
		vm, ok := one.(*simulator.VirtualMachine)
		if ok && vm.Name == "DC0_C0_RP0_VM0" {
			return vm
		}
	}
	v.t.Fatal("the model has no VM")
	return nil
}

func (v *vcenter) otherVM() *simulator.VirtualMachine {
	v.t.Helper()
	for _, one := range v.model.Map().All(kindVM) {
		vm, ok := one.(*simulator.VirtualMachine)
		if ok && vm.Name == "DC0_C0_RP0_VM1" {
			return vm
		}
	}
	v.t.Fatal("the model has no second VM")
	return nil
}

func wantCode(t *testing.T, err error, want Code) {
	t.Helper()
	if got := CodeOf(err); got != want {
		t.Fatalf("code %q, want %q (%v)", got, want, err)
	}
}

// objectGone answers once that an object does not exist, then steps aside.
func (v *vcenter) objectGone(ref types.ManagedObjectReference) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		v.answer("CloneVM_Task", nil)
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>The object has already been deleted</faultstring><detail><ManagedObjectNotFoundFault xmlns="urn:vim25" xsi:type="ManagedObjectNotFound"><obj type="`+ref.Type+`">`+ref.Value+`</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`)
	}
}

// startTools makes the guest report running tools, as the real ones do some
// time after power-on.
func (v *vcenter) startTools(ref string) {
	v.t.Helper()
	bare := v.bare()
	defer func() { _ = bare.Logout(context.Background()) }()
	task, err := object.NewVirtualMachine(bare.Client, vmRef(ref)).Reconfigure(v.t.Context(), types.VirtualMachineConfigSpec{
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: "SET.guest.toolsRunningStatus", Value: "guestToolsRunning"},
		},
	})
	if err == nil {
		err = task.Wait(v.t.Context())
	}
	if err != nil {
		v.t.Fatal(err)
	}
}
