package models

import (
	"errors"
	"sort"
	"strings"
)

// Code names a class of failure. web/errors.go maps it to a status and a page.
type Code string

const (
	CodeNotFound  Code = "not_found"   // absent, or not yours: the same answer
	CodeForbidden Code = "forbidden"   // yours to see, not to do
	CodeConflict  Code = "conflict"    // true a moment ago; look again
	CodeInvalid   Code = "invalid"     // fields say what to change
	CodeQuota     Code = "quota"       // the org has no room left
	CodeTooMany   Code = "too_many"    // wait, then try again
	CodeDown      Code = "unavailable" // something that we need is away
)

// Error is a failure that a person can act on: one code, one sentence.
type Error struct {
	Code    Code
	Message string
	// Fields says per form field what to change. Only with CodeInvalid.
	Fields map[string]string
	// Reason tells programs apart what people tell by the sentence, where the
	// code doesn't: "org_suspended". Mostly "".
	Reason string
	// RetryAfterSeconds is how long to wait. Only with CodeTooMany.
	RetryAfterSeconds int
	Err               error // the cause, for the log only
}

func (e *Error) Error() string {
	s := e.Message
	if len(e.Fields) > 0 {
		parts := make([]string, 0, len(e.Fields))
		for k, v := range e.Fields {
			parts = append(parts, k+": "+v)
		}
		sort.Strings(parts)
		s += " (" + strings.Join(parts, "; ") + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Is matches by code, so that errors.Is(err, ErrConflict) holds for every
// conflict, whatever its sentence.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == ""
}

// The sentinels match by code; return one of the constructors' errors, which
// have a sentence.
var (
	ErrNotFound  = &Error{Code: CodeNotFound}
	ErrForbidden = &Error{Code: CodeForbidden}
	ErrConflict  = &Error{Code: CodeConflict}
	ErrInvalid   = &Error{Code: CodeInvalid}
	ErrQuota     = &Error{Code: CodeQuota}
	ErrTooMany   = &Error{Code: CodeTooMany}

	// ErrNoScope is a programming error: a statement reached a tenant table
	// without a scope, or with another org's row.
	ErrNoScope = errors.New("models: statement without a tenant scope")
	// ErrUnrecorded is a programming error: a change without its audit event.
	ErrUnrecorded = errors.New("models: change without an audit event")
)

func NotFound(what string) error {
	return &Error{Code: CodeNotFound, Message: "There is no such " + what + "."}
}

func Conflict(sentence string) error { return &Error{Code: CodeConflict, Message: sentence} }

func Forbidden(sentence string) error { return &Error{Code: CodeForbidden, Message: sentence} }

// Invalid says what is wrong with which field.
func Invalid(fields map[string]string) error {
	return &Error{Code: CodeInvalid, Message: "Some of this can't be used as it is.", Fields: fields}
}

func TooMany(sentence string, retryAfterSeconds int) error {
	return &Error{Code: CodeTooMany, Message: sentence, RetryAfterSeconds: retryAfterSeconds}
}

// CodeOf returns the code of err, or "" for one that is nobody's fault but ours.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// FieldsOf returns the field messages of an invalid input, or nil.
func FieldsOf(err error) map[string]string {
	var e *Error
	if errors.As(err, &e) {
		return e.Fields
	}
	return nil
}
