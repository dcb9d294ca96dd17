package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/millwright/millwright/models"
)

const (
	// gatherTime is how long changes are gathered before they are sent: a
	// Task's worker writes several rows a second.
	gatherTime = 100 * time.Millisecond
	// gatherMost is how many are told one by one; beyond, the page is told to
	// look at everything.
	gatherMost = 200
	// heartbeatEvery keeps what stands between from cutting a silent stream.
	heartbeatEvery = 15 * time.Second
	// recheckEvery is how often a stream looks whether its user may still see it.
	recheckEvery = 4 * time.Second
	// streamWriteTimeout is how long a browser may leave a message unread.
	streamWriteTimeout = 20 * time.Second
)

// note is one message of the stream: which row changed, never how. The page
// fetches it anew, under its own permission.
type note struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// watch is a live stream: what it tells of, and until when.
type watch struct {
	session models.SessionID
	changes <-chan models.Change
	over    <-chan time.Time         // when it ends by itself; nil: never
	ends    func(models.Change) bool // which changes may end it
	still   func() bool              // whether whoever watches still may
}

// events is the org's live stream. It ends with the session, the membership or
// look, the browser's tab, or the portal.
func (s *Server) events(c echo.Context, scope *models.Scope) error {
	changes, cancel := scope.Watch()
	defer cancel()
	w := watch{session: scope.SessionID(), changes: changes, ends: ends, still: func() bool { return s.stillMember(c, scope) }}
	if look := scope.Look(); look != nil {
		w.over = time.After(time.Until(look.ExpiresAt))
	}
	return s.stream(c, w)
}

// providerEvents is the operators' live stream, of every org.
func (s *Server) providerEvents(c echo.Context, provider *models.Provider) error {
	changes, cancel := provider.Watch()
	defer cancel()
	return s.stream(c, watch{session: provider.Actor().SessionID, changes: changes,
		ends: func(models.Change) bool { return false }, still: func() bool { return s.stillProvider(c) }})
}

// stream tells of changes until it is over.
func (s *Server) stream(c echo.Context, w watch) error {
	leave, ok := s.streams.enter(string(w.session))
	if !ok {
		return models.TooMany("Too many pages of this session are live at once. Close some of them.", 10)
	}
	defer leave()
	st, err := openStream(c)
	if err != nil {
		return err
	}
	heartbeat, recheck := time.NewTicker(heartbeatEvery), time.NewTicker(s.recheck)
	defer heartbeat.Stop()
	defer recheck.Stop()
	gathered := map[note]struct{}{}
	var due <-chan time.Time
	for {
		select {
		case change := <-w.changes:
			if w.ends(change) && !w.still() {
				return nil
			}
			gathered[note{Kind: change.Kind, ID: change.ID}] = struct{}{}
			if due == nil {
				due = time.After(gatherTime)
			}
		case <-due:
			err = st.send(gathered)
			clear(gathered)
			due = nil
		case <-heartbeat.C:
			err = st.write(": still here\n\n")
		case <-recheck.C:
			if !w.still() {
				return nil
			}
		case <-w.over:
			return nil
		case <-c.Request().Context().Done():
			return nil
		case <-s.stopping:
			return nil
		}
		if err != nil {
			return nil // the browser has gone; nobody is left to tell
		}
	}
}

// stillProvider looks whether the session lives and is the provider's.
func (s *Server) stillProvider(c echo.Context) bool {
	ctx, cancel := context.WithTimeout(c.Request().Context(), recheckEvery)
	defer cancel()
	who, err := s.again(ctx, c.Request())
	if err == nil {
		_, err = s.system.Provider(who)
	}
	return models.CodeOf(err) != models.CodeNotFound
}

// ends says whether a change may take the org from whoever watches it.
func ends(c models.Change) bool {
	return slices.Contains([]string{"org", "look", "member", "token", "all"}, c.Kind)
}

// stillMember looks whether the session, or token, and the way into the org
// live: the membership, or the look. A database that doesn't answer ends
// nobody's stream.
func (s *Server) stillMember(c echo.Context, scope *models.Scope) bool {
	ctx, cancel := context.WithTimeout(c.Request().Context(), recheckEvery)
	defer cancel()
	who, err := s.again(ctx, c.Request())
	if err == nil {
		_, err = s.system.Scope(ctx, who, scope.Org().Slug)
	}
	code := models.CodeOf(err)
	return code != models.CodeNotFound && code != models.CodeForbidden
}

// stream is an open text/event-stream.
type stream struct {
	out     *echo.Response
	control *http.ResponseController
}

func openStream(c echo.Context) (*stream, error) {
	st := &stream{out: c.Response(), control: http.NewResponseController(c.Response())}
	// The server's deadlines are for pages: this one reads no more and writes
	// for hours.
	if err := st.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	h := st.out.Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a buffering proxy would hold messages back
	st.out.WriteHeader(http.StatusOK)
	return st, st.write("retry: 3000\n\n")
}

func (st *stream) send(gathered map[note]struct{}) error {
	if len(gathered) > gatherMost {
		gathered = map[note]struct{}{{Kind: "all"}: {}}
	}
	var text []byte
	for n := range gathered {
		data, err := json.Marshal(n)
		if err != nil {
			return err
		}
		text = fmt.Appendf(text, "data: %s\n\n", data)
	}
	return st.write(string(text))
}

func (st *stream) write(text string) error {
	if err := st.control.SetWriteDeadline(time.Now().Add(streamWriteTimeout)); err != nil {
		return err
	}
	if _, err := st.out.Write([]byte(text)); err != nil {
		return err
	}
	return st.control.Flush()
}
