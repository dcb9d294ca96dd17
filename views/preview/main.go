// Command preview shows every screen with made-up records, for the eye and for
// the checks that look at pages: no database, no cloud, nothing to sign in to.
//
//	go run ./views/preview                 serves them on 127.0.0.1:8090
//	go run ./views/preview -addr HOST:PORT
//
// It sends the portal's content policy, so that a page which would break under
// it breaks here.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/millwright/millwright/static"
	"github.com/millwright/millwright/views"
)

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func main() {
	addr := flag.String("addr", "127.0.0.1:8090", "where to listen")
	flag.Parse()
	if err := static.Missing(); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *addr, Handler: handler(time.Now()), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("previews on http://%s/", *addr)
	log.Fatal(server.ListenAndServe())
}

// handler serves each screen under its name, a list of them at /, and the
// assets. now is what the made-up times are counted from.
func handler(now time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/static/", static.Handler())
	all := screens(now)
	for _, s := range all {
		mux.HandleFunc("GET /"+s.name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if err := s.component.Render(r.Context(), w); err != nil {
				log.Printf("%s: %v", s.name, err)
			}
		})
	}
	// Nothing changes here: 204 tells the page's event stream to stay closed.
	for _, stream := range []string{"GET /orgs/{org}/events", "GET /provider/events"} {
		mux.HandleFunc(stream, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}
	// What a console page asks for once it is there.
	mux.HandleFunc("GET /orgs/{org}/machines/{id}/console", func(w http.ResponseWriter, r *http.Request) {
		if err := views.ConsoleLive(consoleOff(now)).Render(r.Context(), w); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for _, s := range all {
			_, _ = fmt.Fprintf(w, "<p><a href=\"/%s\">%s</a></p>\n", s.name, s.name)
		}
	})
	return mux
}
