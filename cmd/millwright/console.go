package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/millwright/millwright/internal/viewer"
)

// consoleCommand needs a portal somewhere and a token for it, nothing here.
type consoleCommand struct {
	URL            string `help:"The portal, such as https://portal.example." required:"" env:"MILLWRIGHT_URL"`
	Token          string `help:"An API token of the machine's org, from your account page. Better in the environment than on the command line, which others can see." required:"" env:"MILLWRIGHT_TOKEN"`
	CA             string `help:"Certificates to trust, in PEM, in place of the system's." type:"existingfile" optional:"" name:"ca"`
	Mode           string `help:"operate or view." enum:"operate,view" default:"operate"`
	Takeover       bool   `help:"End the console of whoever operates the machine now."`
	Listen         string `help:"Bridge to this local address, such as 127.0.0.1:5901, for any VNC viewer. Each connection takes a fresh ticket."`
	ListenAnywhere bool   `help:"Let --listen name an address that is not this computer's own: the screen has no password there."`
	Machine        string `arg:"" help:"ORG/MACHINE: the org as in its address, the machine by name or id."`
}

func (c consoleCommand) Run(ctx context.Context, k *kong.Kong, log *slog.Logger) error {
	org, machine, ok := strings.Cut(c.Machine, "/")
	if !ok || org == "" || machine == "" || strings.Contains(machine, "/") {
		return &viewer.FailureError{Exit: viewer.ExitUsage, Sentence: fmt.Sprintf("%q: want ORG/MACHINE, such as acme/web-1", c.Machine)}
	}
	client, err := viewer.New(viewer.Options{URL: c.URL, Token: c.Token, CAFile: c.CA, Mode: c.Mode, Takeover: c.Takeover})
	if err != nil {
		return err
	}
	id, err := client.Find(ctx, org, machine)
	if err != nil {
		return err
	}
	if c.Listen == "" {
		ticket, err := client.Ticket(ctx, org, id)
		if err != nil {
			return err
		}
		return json.NewEncoder(k.Stdout).Encode(ticket)
	}
	listener, err := viewer.Listen(ctx, c.Listen, c.ListenAnywhere)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(k.Stdout, "ready %s\n", listener.Addr())
	return client.Bridge(ctx, listener, org, id, log)
}
