package vsphere

import (
	"errors"
	"fmt"

	"github.com/vmware/govmomi/task"
)

// Code says what went wrong in a word that the rest of the portal can decide
// by. The codes are stored and shown, so their text must not change.
type Code string

const (
	// CodeUnreachable: no connection to vCenter, or vCenter has none to the host.
	CodeUnreachable Code = "unreachable"
	// CodeTimeout: no answer in time. What was asked for may still happen.
	CodeTimeout Code = "timeout"
	// CodeNotAuthenticated: vCenter ended the session, and again right after a
	// new one was made.
	CodeNotAuthenticated Code = "not_authenticated"
	// CodeBadCredentials: vCenter does not take the service account.
	CodeBadCredentials Code = "bad_credentials"
	// CodeCertificate: the certificate is not the pinned one, or not trusted.
	CodeCertificate Code = "certificate"
	// CodeWrongVCenter: another vCenter answers at this address.
	CodeWrongVCenter Code = "wrong_vcenter"
	// CodeNotFound: the object does not exist (any more).
	CodeNotFound Code = "not_found"
	// CodeDuplicateName: the name is taken in its folder.
	CodeDuplicateName Code = "duplicate_name"
	// CodeNoCapacity: not enough CPU, memory, storage or licences.
	CodeNoCapacity Code = "no_capacity"
	// CodeInvalidState: the machine's state does not allow the operation.
	CodeInvalidState Code = "invalid_state"
	// CodeNoPermission: the service account lacks a privilege.
	CodeNoPermission Code = "no_permission"
	// CodeCancelled: the vSphere task was cancelled, by us or by other hands.
	CodeCancelled Code = "cancelled"
	// CodeInterrupted: our own caller gave up (shutdown, closed client). Says
	// nothing about vCenter; it is not CodeCancelled, which is an outcome.
	CodeInterrupted Code = "interrupted"
	// CodeTaskGone: vCenter no longer knows the task. Look the VM up instead.
	CodeTaskGone Code = "task_gone"
	// CodeBusy: something else holds the machine or a limit; later it may work.
	CodeBusy Code = "busy"
	// CodeInvalidSpec: what was asked for can't be done this way, ever.
	CodeInvalidSpec Code = "invalid_spec"
	// CodeFault: a fault with no code of its own; Text has vSphere's words.
	CodeFault Code = "fault"
)

// Error is the one error type this package returns.
type Error struct {
	Code Code
	Op   string // what was being done, in our words: "clone web-1"
	Text string // vSphere's own words, for the operator only, never for a tenant
	Err  error  // the cause, for errors.Is and errors.As; may be nil
}

func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("vsphere: %s: %s", e.Op, e.Code)
	}
	return fmt.Sprintf("vsphere: %s: %s: %s", e.Op, e.Code, e.Text)
}

func (e *Error) Unwrap() error { return e.Err }

// Transient reports whether the same call may succeed later without anybody
// changing anything.
func (e *Error) Transient() bool {
	switch e.Code {
	case CodeUnreachable, CodeTimeout, CodeNotAuthenticated, CodeBusy, CodeInterrupted:
		return true
	default:
		return false
	}
}

// CodeOf returns the code of an error of this package, CodeFault for any
// other error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeFault
}

// IsTransient reports whether err came from this package and is transient.
func IsTransient(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Transient()
}

// IsVerdict reports whether err is how a vSphere task ended, and not that
// waiting for it failed.
func IsVerdict(err error) bool {
	_, ok := errors.AsType[task.Error](err)
	return ok
}

// refuse makes an Error for what is turned down without asking vCenter. The
// operation is filled in by newError on the way out.
func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}
