package testkit

import (
	"context"
)

// OfferPublicIPs makes a range of the given addresses, free, at 0.004 an hour.
func (w *World) OfferPublicIPs(addresses ...string) error {
	return w.System.PutPublicIPs(context.Background(), "range "+addresses[0], addresses, 4000)
}

// OfferVLANs gives Public a range of VLANs.
func (w *World) OfferVLANs(first, last int) error {
	return w.System.PutVLANs(context.Background(), w.Public.ID, first, last)
}
