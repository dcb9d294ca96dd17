package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"text/tabwriter"
	"time"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/gateway"
	"github.com/millwright/millwright/internal/gateway/host"
)

type edgeCommand struct {
	Portal    string            `help:"The portal's address, https://…" env:"MILLWRIGHT_PORTAL"`
	TokenFile string            `help:"File with this gateway's token." type:"path" env:"MILLWRIGHT_TOKEN_FILE"`
	CA        string            `name:"ca" help:"File with the portal's certificate authority, where the system doesn't know it." type:"path"`
	State     string            `help:"Folder for the last good state and the counters." default:"/var/lib/millwright-edge" type:"path"`
	Sockets   string            `help:"Folder for sockets." default:"/run/millwright-edge" type:"path"`
	Uplink    string            `help:"Interface towards the internet." required:""`
	NextHop   string            `help:"Router on the uplink; the host's own where empty."`
	Trunk     map[string]string `help:"Interface that a cloud's VLANs arrive on: slug=interface, once for each cloud."`
	Refuse    []string          `help:"Network that machines may not send to, beside the host's own addresses."`
	HAProxy   string            `name:"haproxy" help:"HAProxy's program." default:"haproxy"`
	NFT       string            `name:"nft" help:"nftables' program." default:"nft"`
	Tick      time.Duration     `help:"How often to look for drift and to report." default:"2s"`
	Patience  time.Duration     `help:"How long nftables or HAProxy may take, each time, before it is ended." default:"30s"`
	Check     bool              `help:"Say what this host has and lacks, and end; the exit code is 1 where something is missing."`
}

func (e edgeCommand) Run(ctx context.Context, log *slog.Logger) error {
	options, err := e.options(log)
	if err != nil {
		return err
	}
	applier, err := host.New(options)
	if err != nil {
		return err
	}
	defer func() { _ = applier.Close() }()
	missing, err := tellFeatures(applier.Features(ctx), e.Check)
	if err != nil || e.Check {
		return err
	}
	if missing {
		log.Warn("this host lacks something; millwright edge --check says what")
	}
	if e.Portal == "" || e.TokenFile == "" {
		return errors.New("--portal and --token-file are needed")
	}
	source, err := gateway.NewClient(e.Portal, e.TokenFile, e.CA)
	if err != nil {
		return err
	}
	loop, err := gateway.NewLoop(source, applier, gateway.Options{Dir: e.State, Version: version, Tick: e.Tick, Logger: log})
	if err != nil {
		return err
	}
	return loop.Run(ctx)
}

func (e edgeCommand) options(log *slog.Logger) (host.Options, error) {
	program, err := os.Executable()
	if err != nil {
		return host.Options{}, err
	}
	o := host.Options{Dir: e.State, Run: e.Sockets, Uplink: e.Uplink, Trunks: e.Trunk, HAProxy: e.HAProxy, NFT: e.NFT, Patience: e.Patience, Executable: program, Logger: log}
	if e.NextHop != "" {
		if o.NextHop, err = netip.ParseAddr(e.NextHop); err != nil {
			return o, fmt.Errorf("--next-hop: %w", err)
		}
	}
	for _, text := range e.Refuse {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return o, fmt.Errorf("--refuse: %w", err)
		}
		o.Refuse = append(o.Refuse, p.Masked())
	}
	return o, nil
}

// tellFeatures prints what the host has, if asked to; missing things are an
// error then.
func tellFeatures(list []edge.Feature, aloud bool) (missing bool, err error) {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	for _, f := range list {
		mark := "ok"
		if !f.Present {
			mark, missing = "MISSING", true
		}
		if aloud {
			if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", mark, f.Name, f.Detail); err != nil {
				return missing, err
			}
		}
	}
	if !aloud {
		return missing, nil
	}
	if err := w.Flush(); err != nil {
		return missing, err
	}
	if missing {
		return true, errors.New("this host can't be a gateway yet")
	}
	return false, nil
}

// edgeTunnelCommand is the process that holds an org's WireGuard; the agent
// starts it inside the org's namespace.
type edgeTunnelCommand struct {
	Socket string `required:"" type:"path"`
}

func (e edgeTunnelCommand) Run(ctx context.Context) error { return host.ServeTunnel(ctx, e.Socket) }
