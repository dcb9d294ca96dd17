package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// RunVCenter is the body of the command lab-vcenter: it serves one simulated
// vCenter, prints its Info as one JSON line when it is ready, and ends when
// ctx is done or, if so asked, when standard input is closed.
func RunVCenter(ctx context.Context, o VCenterOptions) error {
	stdin, stdout := o.Stdin, o.Stdout
	if stdin == nil {
		stdin = os.Stdin
	}
	if stdout == nil {
		stdout = os.Stdout
	}
	v, err := NewVCenter(o)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(v.Info()); err != nil { // #nosec G117 -- whoever starts it is to log in
		_ = v.Close()
		return fmt.Errorf("lab: announce vCenter: %w", err)
	}
	closed := make(chan struct{})
	if o.EndWithStdin {
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			close(closed)
		}()
	}
	select {
	case <-ctx.Done():
	case <-closed:
	}
	return v.Close()
}
