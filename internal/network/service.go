package network

import (
	"context"
	"log/slog"
	"time"

	"github.com/millwright/millwright/models"
)

// Options is what the operator decides.
type Options struct {
	// ServicePricePerHourMicros is what an Internet service costs.
	ServicePricePerHourMicros int64
	// Quarantine is how long a released public IP rests after its gateway has
	// confirmed. 24 hours where left out.
	Quarantine time.Duration
	// ReservedPorts can't be a service's: the gateway's own.
	ReservedPorts []models.ReservedPort
	Logger        *slog.Logger
}

// DefaultReservedPorts are kept where the operator names none: WireGuard's for
// the VPN alone, and those of HAProxy's and the agent's own pages.
func DefaultReservedPorts() []models.ReservedPort {
	return []models.ReservedPort{
		{L4: "udp", Port: models.VPNPort, ForVPN: true},
		{L4: "tcp", Port: 8404}, {L4: "tcp", Port: 9101},
	}
}

const defaultQuarantine = 24 * time.Hour

// Service is the room.
type Service struct {
	system  *models.System
	options Options
	log     *slog.Logger
}

// New makes the room. Nothing runs yet.
func New(system *models.System, o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Quarantine == 0 {
		o.Quarantine = defaultQuarantine
	}
	return &Service{system: system, options: o, log: o.Logger}
}

// ServicePrice is what a service costs per hour.
func (s *Service) ServicePrice() int64 { return s.options.ServicePricePerHourMicros }

// settleEvery is how often what no request does is looked after.
const settleEvery = 5 * time.Second

// Settle gives VLANs their rows, orgs their place on a gateway and their first
// public address, and ends releases and quarantines. Any node may do it, at
// any time.
func (s *Service) Settle(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.system.SyncVLANs, s.system.EnsureGateways, s.system.EnsureOutbound,
		func(ctx context.Context) error { return s.system.QuarantineUnserved(ctx, s.options.Quarantine) },
		s.system.EndQuarantines,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Prepare stores what the operator decided. Called at start.
func (s *Service) Prepare(ctx context.Context) error {
	return s.system.PutReservedPorts(ctx, s.options.ReservedPorts)
}

// Run settles until ctx ends, on one node at a time.
func (s *Service) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.system.Exclusively(ctx, "network", func(ctx context.Context) error {
			ticker := time.NewTicker(settleEvery)
			defer ticker.Stop()
			for {
				if err := s.Settle(ctx); err != nil && ctx.Err() == nil {
					s.log.Warn("the network could not be looked after; the next round tries again", "error", err)
				}
				select {
				case <-ctx.Done():
					return nil
				case <-ticker.C:
				}
			}
		})
		if err != nil && ctx.Err() == nil {
			s.log.Warn("looking after the network was interrupted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}
