package vsphere

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/vim25/types"
)

// errCallTimeout is the cause of a deadline that this package set itself, so
// that it can be told from one the caller brought along.
var errCallTimeout = errors.New("no answer within the call timeout")

// errPinMismatch says that the server's certificate is not the pinned one.
var errPinMismatch = errors.New("certificate does not have the pinned SHA-256 thumbprint")

// httpStatusError is an answer that carries no SOAP: a proxy in front of a
// vCenter that is starting, a wrong path, a redirect.
type httpStatusError struct{ status int }

func (e *httpStatusError) Error() string {
	return fmt.Sprintf("HTTP %d %s", e.status, http.StatusText(e.status))
}

func (e *httpStatusError) down() bool {
	return e.status == http.StatusBadGateway ||
		e.status == http.StatusServiceUnavailable ||
		e.status == http.StatusGatewayTimeout
}

// newError turns whatever govmomi returned into an Error. An Error passes
// through with its code; the outer operation's name wins.
func newError(ctx context.Context, op string, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return &Error{Code: known.Code, Op: op, Text: known.Text, Err: known.Err}
	}
	return &Error{Code: classify(ctx, err), Op: op, Text: words(err), Err: err}
}

func classify(ctx context.Context, err error) Code {
	if code, ok := classifyFault(err); ok {
		return code
	}
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled) {
		return CodeInterrupted
	}
	if _, ok := errors.AsType[*find.NotFoundError](err); ok {
		return CodeNotFound
	}
	if _, ok := errors.AsType[*find.MultipleFoundError](err); ok {
		return CodeInvalidSpec
	}
	return classifyTransport(err)
}

// classifyTransport names errors that never were a SOAP answer.
func classifyTransport(err error) Code {
	if isCertificateError(err) {
		return CodeCertificate
	}
	if isDialError(err) {
		return CodeUnreachable
	}
	if errors.Is(err, errCallTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return CodeTimeout
	}
	if status, ok := errors.AsType[*httpStatusError](err); ok {
		if status.down() {
			return CodeUnreachable
		}
		return CodeFault
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		if u, isURL := errors.AsType[*url.Error](err); !isURL || u.Timeout() || isConnectionError(u.Err) {
			return CodeUnreachable
		}
	}
	if isConnectionError(err) {
		return CodeUnreachable
	}
	return CodeFault
}

func isCertificateError(err error) bool {
	if errors.Is(err, errPinMismatch) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok
}

// isDialError reports whether no connection came about at all.
func isDialError(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	// net/http has no exported type for a TLS handshake that took too long.
	return err != nil && strings.Contains(err.Error(), "TLS handshake timeout")
}

// isConnectionError reports whether an existing connection broke.
func isConnectionError(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	// net/http keeps this one private; it means that vCenter closed an idle
	// connection in the moment we wrote to it.
	return err != nil && strings.Contains(err.Error(), "server closed idle connection")
}

// classifyFault names vSphere's own faults. The order matters where one fault
// wraps another as its cause: the more telling one comes first.
func classifyFault(err error) (Code, bool) {
	for _, rule := range faultRules {
		if rule.matches(err) {
			return rule.code, true
		}
	}
	if family[types.BaseMethodFault](err) {
		return CodeFault, true
	}
	return "", false
}

type faultRule struct {
	code    Code
	matches func(error) bool
}

var faultRules = []faultRule{
	{CodeNotAuthenticated, exactly[types.NotAuthenticated]},
	{CodeBadCredentials, family[types.BaseInvalidLogin]},
	{CodeCancelled, exactly[types.RequestCanceled]},
	{CodeNotFound, exactly[types.ManagedObjectNotFound]},
	{CodeNotFound, exactly[types.NotFound]},
	{CodeDuplicateName, exactly[types.DuplicateName]},
	{CodeDuplicateName, exactly[types.AlreadyExists]},
	{CodeDuplicateName, exactly[types.FileAlreadyExists]},
	{CodeNoCapacity, family[types.BaseInsufficientResourcesFault]},
	{CodeNoCapacity, exactly[types.NoDiskSpace]},
	{CodeNoCapacity, exactly[types.NoCompatibleHost]},
	{CodeNoCapacity, exactly[types.NotEnoughLicenses]},
	{CodeBusy, family[types.BaseTaskInProgress]},
	{CodeBusy, exactly[types.ConcurrentAccess]},
	{CodeBusy, family[types.BaseResourceInUse]},
	{CodeBusy, exactly[types.FileLocked]},
	{CodeBusy, exactly[types.MksConnectionLimitReached]},
	{CodeUnreachable, family[types.BaseHostCommunication]},
	{CodeUnreachable, family[types.BaseHostConnectFault]},
	{CodeTimeout, family[types.BaseTimedout]},
	{CodeInvalidState, family[types.BaseInvalidState]},
	{CodeInvalidState, exactly[types.ToolsUnavailable]},
	{CodeNoPermission, family[types.BaseNoPermission]},
	{CodeNoPermission, exactly[types.RestrictedVersion]},
	{CodeInvalidSpec, family[types.BaseCustomizationFault]},
	{CodeInvalidSpec, family[types.BaseInvalidVmConfig]},
	{CodeInvalidSpec, family[types.BaseInvalidArgument]},
	{CodeInvalidSpec, exactly[types.InvalidName]},
	{CodeInvalidSpec, exactly[types.InvalidProperty]},
	{CodeInvalidSpec, family[types.BaseNotSupported]},
	{CodeInvalidSpec, family[types.BaseInvalidRequest]},
}

// exactly matches one fault type anywhere in the error's tree.
func exactly[T any, PT interface {
	*T
	types.BaseMethodFault
}](err error) bool {
	return fault.Is(err, PT(new(T)))
}

// family matches a fault type and everything that extends it.
func family[T any](err error) bool {
	var target T
	_, ok := fault.As(err, &target)
	return ok
}

// words is what vSphere said: its own sentence, with the fault's type
// in front, because the sentence is often empty or says nothing.
func words(err error) string {
	var method types.BaseMethodFault
	sentence, ok := fault.As(err, &method)
	if !ok || method == nil {
		return err.Error()
	}
	kind := reflect.Indirect(reflect.ValueOf(method)).Type().Name()
	if sentence == "" {
		sentence = strings.TrimPrefix(err.Error(), "ServerFaultCode: ")
	}
	if sentence == "" || sentence == kind {
		return kind
	}
	return kind + ": " + sentence
}

// alreadyThere reports whether a power operation failed only because the
// machine is already in the wanted state.
func alreadyThere(err error) bool {
	var state *types.InvalidPowerState
	if _, ok := fault.As(err, &state); !ok {
		return false
	}
	return state.RequestedState != "" && state.RequestedState == state.ExistingState
}
