package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/models"
)

// networks makes the room of the network edge, as the configuration has it.
func (o portalOptions) networks(system *models.System, log *slog.Logger) *network.Service {
	c := o.config.Network
	with := network.Options{
		ServicePricePerHourMicros: int64(math.Round(c.ServicePricePerHour * 1e6)),
		ReservedPorts:             network.DefaultReservedPorts(), Logger: log,
	}
	if c.QuarantineHours != nil {
		with.Quarantine = max(time.Duration(*c.QuarantineHours)*time.Hour, time.Second)
	}
	if len(c.ReservedPorts) > 0 {
		with.ReservedPorts = nil
		for _, p := range c.ReservedPorts {
			with.ReservedPorts = append(with.ReservedPorts, models.ReservedPort{L4: p.Protocol, Port: p.Port, ForVPN: p.ForVPN})
		}
	}
	return network.New(system, with)
}

// The lab's public addresses are the loopback's own, and its VLANs nobody's.
const (
	labIPs       = 40
	labIPPrice   = 4_000 // millionths per hour
	labFirstVLAN = 100
	labLastVLAN  = 199
)

// labEdge offers public addresses and VLANs in the demo.
func labEdge(ctx context.Context, system *models.System, a applied) error {
	if _, err := system.LocalEdge(ctx, "lab"); err != nil { // carries every org from the first start on
		return err
	}
	addresses := make([]string, labIPs)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("127.0.10.%d", i+1)
	}
	if err := system.PutPublicIPs(ctx, "Lab", addresses, labIPPrice); err != nil {
		return err
	}
	for _, c := range a.clouds {
		if err := system.PutVLANs(ctx, c.ID, labFirstVLAN, labLastVLAN); err != nil {
			return err
		}
	}
	return nil
}
