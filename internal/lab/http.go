package lab

import (
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
)

func serverTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"}, // WebSockets are upgrades of it
	}
}

// gate stands before everything: it holds calls back while the vCenter hangs.
func (v *VCenter) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hang := v.faults.hanging(); hang != nil && !strings.HasPrefix(r.URL.Path, "/lab/") {
			select {
			case <-hang:
			case <-v.closed:
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// guarded lets only the vCenter's own account in.
func (v *VCenter) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		sameName := subtle.ConstantTimeCompare([]byte(name), []byte(username))
		samePassword := subtle.ConstantTimeCompare([]byte(password), []byte(v.identity.Password))
		if sameName&samePassword != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
			http.Error(w, "log in as the vCenter's account", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

// Machines lists every machine there is, templates of the catalogue excepted,
// by name.
func (v *VCenter) Machines() []Machine {
	list := []Machine{}
	for _, ref := range v.residentRefs() {
		v.withMachine(ref, func(_ *simulator.Context, vm *simulator.VirtualMachine) {
			v.mu.Lock()
			res := v.residents[ref]
			v.mu.Unlock()
			if res != nil && !res.catalogue {
				list = append(list, v.describe(&vm.VirtualMachine, res.facts))
			}
		})
	}
	slices.SortFunc(list, func(a, b Machine) int {
		return strings.Compare(a.Folder+"/"+a.Name, b.Folder+"/"+b.Name)
	})
	return list
}

func (v *VCenter) serveMachines(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v.Machines())
}

// FaultRequest is the body of POST /lab/faults. All parts are optional and
// taken in this order.
type FaultRequest struct {
	Clear           bool    `json:"clear,omitempty"`
	Slow            *string `json:"slow,omitempty"`        // duration
	CloneDelay      *string `json:"clone_delay,omitempty"` // duration
	Fail            []Fault `json:"fail,omitempty"`
	DropSessions    bool    `json:"drop_sessions,omitempty"`
	DropConnections bool    `json:"drop_connections,omitempty"`
	DropScreens     bool    `json:"drop_screens,omitempty"`
	Hang            string  `json:"hang,omitempty"`      // duration
	LockDoor        string  `json:"lock_door,omitempty"` // a machine's name: its guest uses the CD
}

func (v *VCenter) serveFaults(w http.ResponseWriter, r *http.Request) {
	var req FaultRequest
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := v.apply(req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	if req.DropConnections {
		_ = http.NewResponseController(w).Flush()
		v.DropConnections()
	}
}

func (v *VCenter) apply(req FaultRequest) error {
	durations := make([]time.Duration, 3)
	for i, s := range []*string{req.Slow, req.CloneDelay, &req.Hang} {
		if s == nil || *s == "" {
			continue
		}
		d, err := time.ParseDuration(*s)
		if err != nil {
			return err
		}
		durations[i] = d
	}
	if req.Clear {
		v.ClearFaults()
	}
	if req.Slow != nil {
		v.Slow(durations[0])
	}
	if req.CloneDelay != nil {
		v.SetCloneDelay(durations[1])
	}
	for _, f := range req.Fail {
		v.Fail(f)
	}
	if req.DropSessions {
		v.DropSessions()
	}
	if req.DropScreens {
		v.DropScreens()
	}
	if req.LockDoor != "" {
		for _, ref := range v.residentRefs() {
			if v.nameOf(ref) == req.LockDoor {
				v.doorLocked(ref).Store(true)
			}
		}
	}
	if durations[2] > 0 {
		v.Hang(durations[2])
	}
	return nil
}
