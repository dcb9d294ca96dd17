package vsphere

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// said is a fault as a call returns it; ended is the same from a task.
func said(method types.BaseMethodFault, text string) error {
	f := &soap.Fault{Code: "ServerFaultCode", String: text}
	f.Detail.Fault = method
	return soap.WrapSoapFault(f)
}

func ended(method types.BaseMethodFault, text string) error {
	return task.Error{LocalizedMethodFault: &types.LocalizedMethodFault{Fault: method, LocalizedMessage: text}}
}

func TestFaultsBecomeCodesWithVSpheresWordsKept(t *testing.T) {
	t.Parallel()
	caused := &types.GenericVmConfigFault{}
	caused.FaultCause = &types.LocalizedMethodFault{Fault: &types.NoDiskSpace{}, LocalizedMessage: "disk full"}
	for _, test := range []struct {
		fault     types.BaseMethodFault
		code      Code
		transient bool
	}{
		{&types.NotAuthenticated{}, CodeNotAuthenticated, true},
		{&types.InvalidLogin{}, CodeBadCredentials, false},
		{&types.PasswordExpired{}, CodeBadCredentials, false},
		{&types.ManagedObjectNotFound{}, CodeNotFound, false},
		{&types.DuplicateName{}, CodeDuplicateName, false},
		{&types.InsufficientMemoryResourcesFault{}, CodeNoCapacity, false},
		{&types.InsufficientStorageSpace{}, CodeNoCapacity, false},
		{&types.NoDiskSpace{}, CodeNoCapacity, false},
		{caused, CodeNoCapacity, false},
		{&types.InvalidPowerState{}, CodeInvalidState, false},
		{&types.ToolsUnavailable{}, CodeInvalidState, false},
		{&types.TaskInProgress{}, CodeBusy, true},
		{&types.VmConfigFault{}, CodeFault, false},
		{&types.ConcurrentAccess{}, CodeBusy, true},
		{&types.MksConnectionLimitReached{}, CodeBusy, true},
		{&types.HostNotConnected{}, CodeUnreachable, true},
		{&types.NoPermission{}, CodeNoPermission, false},
		{&types.RequestCanceled{}, CodeCancelled, false},
		{&types.InvalidArgument{}, CodeInvalidSpec, false},
		{&types.NicSettingMismatch{}, CodeInvalidSpec, false},
		{&types.NotSupported{}, CodeInvalidSpec, false},
		{&types.Timedout{}, CodeTimeout, true},
		{&types.SystemError{}, CodeFault, false},
	} {
		for way, err := range map[string]error{
			"call": said(test.fault, "in vSphere's words"),
			"task": ended(test.fault, "in vSphere's words"),
			"wrap": fmt.Errorf("outer: %w", said(test.fault, "in vSphere's words")),
		} {
			got := newError(t.Context(), "clone web-1", err)
			if got.Code != test.code || got.Transient() != test.transient {
				t.Errorf("%T by %s: %s, transient %v; want %s, %v", test.fault, way, got.Code, got.Transient(), test.code, test.transient)
			}
			if !errors.Is(got, err) || got.Op != "clone web-1" {
				t.Errorf("%T by %s: lost cause or operation", test.fault, way)
			}
		}
		got := newError(t.Context(), "x", ended(test.fault, "in vSphere's words"))
		if caused != test.fault && !strings.Contains(got.Text, "in vSphere's words") {
			t.Errorf("%T: text is %q", test.fault, got.Text)
		}
	}
}

func TestTransportErrorsBecomeCodes(t *testing.T) {
	t.Parallel()
	post := func(err error) error { return &url.Error{Op: "Post", URL: "https://vc/sdk", Err: err} }
	for _, test := range []struct {
		err  error
		code Code
	}{
		{post(&net.OpError{Op: "dial", Err: errors.New("connection refused")}), CodeUnreachable},
		{post(&net.DNSError{Name: "vc"}), CodeUnreachable},
		{post(errors.New("net/http: TLS handshake timeout")), CodeUnreachable},
		{post(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}), CodeUnreachable},
		{post(io.EOF), CodeUnreachable},
		{post(errors.New("http: server closed idle connection")), CodeUnreachable},
		{post(&httpStatusError{503}), CodeUnreachable},
		{post(&httpStatusError{404}), CodeFault},
		{post(fmt.Errorf("x: %w", errPinMismatch)), CodeCertificate},
		{errCallTimeout, CodeTimeout},
		{post(context.DeadlineExceeded), CodeTimeout},
		{post(context.Canceled), CodeInterrupted},
		{errors.New("expected element type <Envelope> but have <html>"), CodeFault},
	} {
		if got := newError(t.Context(), "x", test.err).Code; got != test.code {
			t.Errorf("%v: %s, want %s", test.err, got, test.code)
		}
	}
}

func TestCodeOfKnowsEveryError(t *testing.T) {
	t.Parallel()
	if CodeOf(nil) != "" || IsTransient(nil) {
		t.Error("nil has a code")
	}
	if CodeOf(errors.New("x")) != CodeFault || IsTransient(errors.New("x")) {
		t.Error("a stranger's error must be final")
	}
	wrapped := fmt.Errorf("step: %w", &Error{Code: CodeBusy})
	if CodeOf(wrapped) != CodeBusy || !IsTransient(wrapped) {
		t.Error("a wrapped error lost its code")
	}
}

func TestOnlyTheReachedStateCountsAsAlreadyThere(t *testing.T) {
	t.Parallel()
	on, off := types.VirtualMachinePowerStatePoweredOn, types.VirtualMachinePowerStatePoweredOff
	if !alreadyThere(ended(&types.InvalidPowerState{RequestedState: on, ExistingState: on}, "")) {
		t.Error("on and asked for on")
	}
	for _, err := range []error{
		ended(&types.InvalidPowerState{RequestedState: on, ExistingState: off}, ""),
		ended(&types.InvalidPowerState{ExistingState: off}, ""),
		ended(&types.InvalidState{}, ""),
		errors.New("x"),
	} {
		if alreadyThere(err) {
			t.Errorf("%#v counts as done", err)
		}
	}
}
