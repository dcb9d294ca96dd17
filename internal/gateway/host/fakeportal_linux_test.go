package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// portal is a fake one.
type portal struct {
	address string

	mu      sync.Mutex
	desired edge.Desired
	etag    int
	news    chan struct{} // closed at each change
	status  edge.Status
	reports chan struct{} // closed at each report
	away    bool
	gone    chan struct{}
}

func newPortal() *portal {
	return &portal{news: make(chan struct{}), reports: make(chan struct{}), gone: make(chan struct{}), desired: edge.Desired{Version: edge.Version}}
}

func (p *portal) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away {
		p.away = true
		close(p.gone)
	}
}

func (p *portal) set(orgs ...edge.Org) {
	text, _ := json.Marshal(orgs) //nolint:errchkjson // a copy: the test goes on changing
	p.mu.Lock()
	defer p.mu.Unlock()
	p.desired.Orgs = nil
	_ = json.Unmarshal(text, &p.desired.Orgs)
	p.etag++
	close(p.news)
	p.news = make(chan struct{})
}

func (p *portal) wait(patience time.Duration, holds func(edge.Status) bool) (edge.Status, error) {
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		s, next := p.status, p.reports
		p.mu.Unlock()
		if holds(s) {
			return s, nil
		}
		select {
		case <-next:
		case <-timeout:
			return s, errors.New("timeout")
		}
	}
}

func (p *portal) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	p.mu.Lock()
	away := p.away
	p.mu.Unlock()
	if away {
		panic(http.ErrAbortHandler)
	}
	if q.Header.Get("Authorization") != "Bearer secret" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	if q.Method == http.MethodPost {
		var s edge.Status
		if err := json.NewDecoder(q.Body).Decode(&s); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		p.status = s
		close(p.reports)
		p.reports = make(chan struct{})
		p.mu.Unlock()
		return
	}
	wait, _ := time.ParseDuration(q.URL.Query().Get("wait"))
	timeout := time.After(wait)
	for {
		p.mu.Lock()
		tag, desired, news := fmt.Sprintf(`"%d"`, p.etag), p.desired, p.news
		p.mu.Unlock()
		if q.Header.Get("If-None-Match") != tag {
			w.Header().Set("ETag", tag)
			_ = json.NewEncoder(w).Encode(desired) //nolint:errchkjson // plain
			return
		}
		select {
		case <-news:
		case <-timeout:
			w.WriteHeader(http.StatusNotModified)
			return
		case <-q.Context().Done():
			return
		case <-p.gone:
			panic(http.ErrAbortHandler)
		}
	}
}
