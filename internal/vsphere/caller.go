package vsphere

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// cleanUpTimeout bounds calls that only tidy up behind us. govmomi makes them
// with a background context, which would wait for a hanging vCenter for ever.
const cleanUpTimeout = 5 * time.Second

// caller is the soap.RoundTripper under every govmomi object. It gives each
// call a deadline and tells the circuit how it went.
type caller struct {
	next    soap.RoundTripper
	circuit *circuit
	timeout time.Duration
}

func (c *caller) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	switch body := req.(type) {
	case *methods.DestroyPropertyCollectorBody, *methods.DestroyPropertyFilterBody,
		*methods.DestroyViewBody, *methods.CancelWaitForUpdatesBody:
		c.cleanUp(ctx, req, res)
		return nil
	case *methods.WaitForUpdatesExBody:
		// The long poll: vCenter answers when there is news, so the deadline
		// is the caller's, or that of the wait it asked for.
		if wait := maxWait(body.Req); wait > 0 {
			return c.call(ctx, req, res, wait+c.timeout)
		}
		return c.call(ctx, req, res, 0)
	default:
		return c.call(ctx, req, res, c.timeout)
	}
}

func maxWait(req *types.WaitForUpdatesEx) time.Duration {
	if req == nil || req.Options == nil || req.Options.MaxWaitSeconds == nil {
		return 0
	}
	return time.Duration(*req.Options.MaxWaitSeconds) * time.Second
}

// cleanUp does not report failure: govmomi would turn a finished task into an
// error because its collector could not be destroyed, and vCenter drops what
// is left over when the session ends.
func (c *caller) cleanUp(ctx context.Context, req, res soap.HasFault) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	_ = c.call(ctx, req, res, 0)
}

func (c *caller) call(ctx context.Context, req, res soap.HasFault, timeout time.Duration) error {
	leave, err := c.circuit.enter()
	if err != nil {
		return &Error{Code: CodeUnreachable, Text: err.Error(), Err: err}
	}
	callCtx := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		callCtx, cancel = context.WithTimeoutCause(ctx, timeout, errCallTimeout)
		defer cancel()
	}
	err = c.next.RoundTrip(callCtx, req, res)
	// net/http reports the bare deadline; put back whose deadline it was.
	if err != nil && ctx.Err() == nil && callCtx.Err() != nil {
		err = fmt.Errorf("%w: %w", errCallTimeout, err)
	}
	leave(judge(ctx, err), err)
	return err
}

// judge says what err tells about vCenter's being there.
func judge(ctx context.Context, err error) outcome {
	if err == nil {
		return answered
	}
	var method types.BaseMethodFault
	if _, ok := fault.As(err, &method); ok || soap.IsSoapFault(err) {
		return answered
	}
	if ctx.Err() != nil {
		return unknown
	}
	if isDialError(err) {
		return unreachable
	}
	if status, ok := errors.AsType[*httpStatusError](err); ok && status.down() {
		return unreachable
	}
	switch classifyTransport(err) {
	case CodeTimeout, CodeUnreachable:
		return unanswered
	default:
		return answered
	}
}
