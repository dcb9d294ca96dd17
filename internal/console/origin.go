package console

import (
	"net/http"
	"slices"
)

// Origin is scheme and host of the portal as the request's browser knows it:
// where its page's socket has to go.
func (s *Service) Origin(r *http.Request) string {
	known := s.options.Origins(r)
	if len(known) == 0 {
		return ""
	}
	if own := r.Header.Get("Origin"); slices.Contains(known, own) {
		return own
	}
	return known[0]
}

// fromOwnPage says whether a page of the portal opened the socket. Browsers
// let any page open a socket to any place, cookies included: the Origin is
// the one thing that tells. A missing or a second one is as good as a foreign.
func (s *Service) fromOwnPage(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 1 && slices.Contains(s.options.Origins(r), origins[0])
}

// requestOrigin is what the request itself says about where it was sent.
func requestOrigin(r *http.Request) []string {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return []string{scheme + r.Host}
}
