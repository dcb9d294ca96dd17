//go:build !linux

package host

import (
	"context"
	"errors"

	"github.com/millwright/millwright/internal/gateway"
)

// ErrLinux is what other systems answer.
var ErrLinux = errors.New("a gateway host runs Linux")

// New refuses.
func New(Options) (gateway.Applier, error) { return nil, ErrLinux }

// ServeTunnel refuses.
func ServeTunnel(context.Context, string) error { return ErrLinux }
