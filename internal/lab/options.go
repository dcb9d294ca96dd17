package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// VCenterOptions are the flags of one simulated vCenter.
type VCenterOptions struct {
	// Dir holds the certificate, the password, the journal and the scratch
	// files of the datastores. Two vCenters never share one.
	Dir string `help:"Folder that this vCenter keeps its certificate, password and inventory in." required:"" type:"path"`
	// Name is the cloud's short name; it decides which templates are there.
	Name string `help:"Short name of the cloud." default:"public"`
	// Addr must be loopback. Port 0 takes the port of the last run if it is
	// free, so that clients which outlived a crash find their way back.
	Addr string `help:"Loopback address and port to listen on; port 0 takes the last one used." default:"127.0.0.1:0"`
	// Hosts in the one cluster; 0 means 4.
	Hosts int `help:"Number of simulated ESXi hosts." default:"4"`
	// CloneDelay is how long a clone takes before the machine is there.
	CloneDelay time.Duration `help:"How long each clone takes." default:"0s"`
	// GuestBootDelay is the time from power-on to running tools and a known
	// address. A guest shutdown takes a third of it.
	GuestBootDelay time.Duration `help:"Time from power-on to running guest tools." default:"1500ms"`
	// Seed is a file with a JSON list of SeedMachine, read only while there
	// is no journal yet.
	Seed string `help:"File with machines to start with, used only while there is no inventory yet." type:"path"`
	// EndWithStdin ends the process when its standard input is closed: the
	// way a child notices that its parent is gone, however it went.
	EndWithStdin bool `help:"End when standard input is closed."`

	// Stdin and Stdout replace the process's own in tests.
	Stdin  io.Reader `kong:"-"`
	Stdout io.Writer `kong:"-"`
}

// defaultHosts is what a vCenter gets that was asked for none.
const defaultHosts = 4

func (o VCenterOptions) normalised() (VCenterOptions, error) {
	if o.Dir == "" {
		return o, errors.New("lab: a vCenter needs a folder of its own")
	}
	if o.Name == "" {
		o.Name = CloudPublic
	}
	if o.Hosts <= 0 {
		o.Hosts = defaultHosts
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if err := onlyLoopback(o.Addr); err != nil {
		return o, err
	}
	return o, nil
}

// onlyLoopback keeps the simulator off every network: its logins are simple
// and its datastore is a folder of this computer.
func onlyLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("lab: address %q: %w", addr, err)
	}
	ip := net.ParseIP(host)
	if ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("lab: %q is not a loopback address; the simulated vCenter serves this computer only", addr)
	}
	return nil
}

// Info is what a client needs to reach a vCenter; it is printed when it is
// ready and kept in Dir/vcenter.json.
type Info struct {
	URL              string `json:"url"`
	Username         string `json:"username"`
	Password         string `json:"password"`
	ThumbprintSHA256 string `json:"thumbprint_sha256"`
	ThumbprintSHA1   string `json:"thumbprint_sha1"`
	InstanceUUID     string `json:"instance_uuid"`
}
