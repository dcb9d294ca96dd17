package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/handlers"
	"github.com/millwright/millwright/models"
	"github.com/millwright/millwright/views"
)

// statuses is the one table from a failure's class to what HTTP calls it.
var statuses = map[models.Code]int{
	models.CodeNotFound:  http.StatusNotFound,
	models.CodeForbidden: http.StatusForbidden,
	models.CodeConflict:  http.StatusConflict,
	models.CodeQuota:     http.StatusConflict,
	models.CodeInvalid:   http.StatusUnprocessableEntity,
	models.CodeTooMany:   http.StatusTooManyRequests,
	models.CodeDown:      http.StatusServiceUnavailable,
}

// sentences are for failures that HTTP itself makes.
var sentences = map[int]string{
	http.StatusBadRequest:            "The request has characters in it that mean nothing here.",
	http.StatusUnauthorized:          "Sign in first.",
	http.StatusMethodNotAllowed:      "This address takes no such request.",
	http.StatusRequestEntityTooLarge: "That is more than the portal takes at once.",
	http.StatusServiceUnavailable:    "This took too long. Nothing was changed; try again in a moment.",
}

// statusClientGone is the log's word for a browser that didn't wait.
const statusClientGone = 499

// downRetrySeconds is how soon to try again what is away just now.
const downRetrySeconds = 5

// failure is an error as the user is told of it. Internals stay in the log.
type failure struct {
	status            int
	code              models.Code
	sentence          string
	fields            map[string]string
	reason            string
	retryAfterSeconds int
}

func failureOf(err error) failure {
	var known *models.Error
	var httpError *echo.HTTPError
	switch {
	case errors.As(err, &known):
		f := failure{
			status: statuses[known.Code], code: known.Code, sentence: known.Message, fields: known.Fields, reason: known.Reason,
			retryAfterSeconds: known.RetryAfterSeconds,
		}
		if f.status == 0 {
			return failure{status: http.StatusInternalServerError}
		}
		if known.Code == models.CodeDown && f.retryAfterSeconds == 0 {
			f.retryAfterSeconds = downRetrySeconds
		}
		return f
	case errors.As(err, &httpError):
		return failure{status: httpError.Code, sentence: sentences[httpError.Code]}
	case errors.Is(err, context.Canceled):
		return failure{status: statusClientGone}
	case errors.Is(err, context.DeadlineExceeded):
		return failure{status: http.StatusServiceUnavailable, code: models.CodeDown,
			sentence: sentences[http.StatusServiceUnavailable], retryAfterSeconds: downRetrySeconds}
	}
	return failure{status: http.StatusInternalServerError}
}

// text is the sentence with what is wrong with which field.
func (f failure) text() string {
	parts := make([]string, 0, len(f.fields))
	for name, problem := range f.fields {
		parts = append(parts, name+": "+problem)
	}
	slices.Sort(parts)
	return strings.TrimSpace(f.sentence + " " + strings.Join(parts, " "))
}

// fail answers with an error, in the form that was asked for. The log is told
// by logged.
func (s *Server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	f := failureOf(err)
	if f.retryAfterSeconds > 0 {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(f.retryAfterSeconds))
	}
	r := c.Request()
	var sent error
	switch {
	case f.status == statusClientGone: // nobody is left to be told
		sent = c.NoContent(f.status)
	case errors.Is(err, errWrongToken):
		sent = s.failToken(c)
	case f.status == http.StatusUnauthorized && wantsPage(r):
		sent = c.Redirect(http.StatusSeeOther, signInURL(r))
	case f.status == http.StatusNotFound:
		// Foreign, deleted and invented alike: the same bytes for everybody.
		sent = s.failPage(c, views.ErrorProps{Status: http.StatusNotFound})
	case wantsJSON(r):
		told := map[string]any{"code": f.code, "message": f.sentence, "fields": f.fields}
		if f.reason != "" {
			told["reason"] = f.reason
		}
		sent = c.JSON(f.status, told)
	case r.Header.Get("HX-Request") != "":
		sent = c.String(f.status, f.text())
	default:
		sent = s.failPage(c, s.errorProps(c, f))
	}
	if sent != nil && !c.Response().Committed {
		_ = c.NoContent(http.StatusInternalServerError)
	}
}

// failToken answers a program whose token is wrong.
func (s *Server) failToken(c echo.Context) error {
	const sentence = "This token is not known here. It may have expired or been revoked."
	if wantsJSON(c.Request()) {
		return c.JSON(http.StatusUnauthorized, map[string]any{"code": "wrong_token", "message": sentence})
	}
	return c.String(http.StatusUnauthorized, sentence+"\n")
}

func (s *Server) errorProps(c echo.Context, f failure) views.ErrorProps {
	p := views.ErrorProps{Status: f.status, Message: f.text(), RetryAfterSeconds: f.retryAfterSeconds}
	if f.status >= http.StatusInternalServerError {
		p.Reference = c.Response().Header().Get(echo.HeaderXRequestID)
		return p
	}
	if scope, ok := c.Get(scopeKey).(*models.Scope); ok {
		p.Frame = s.handlers.Frame(c, scope)
	}
	return p
}

func (s *Server) failPage(c echo.Context, p views.ErrorProps) error {
	if c.Request().Method == http.MethodHead {
		return c.NoContent(p.Status)
	}
	return handlers.Render(c, p.Status, views.Error(p))
}
