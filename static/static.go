// Package static owns every file that a browser fetches besides pages: our
// style sheets and scripts, and the third-party ones that `task assets` lays
// into vendor/. All of it is embedded, so the binary needs nothing beside it.
//
// Each file is served under an address that names its content, for ever
// cacheable; a page asks URL for it:
//
//	app.css              → /static/app.<hash>.css        (css/*.css, joined in order)
//	theme.js             → /static/theme.<hash>.js
//	htmx.min.js          → /static/htmx.min.<hash>.js    (out of vendor/)
//	js/app.js            → /static/<hash>/js/app.js      (a tree: its modules
//	novnc/core/rfb.js    → /static/<hash>/novnc/core/rfb.js    import each other)
//
// It serves nothing else: no folder listing, no address without its hash.
package static

import (
	"embed"
	"errors"
	"io/fs"
	"strings"
	"sync"
)

// prefix is where the portal mounts Handler.
const prefix = "/static/"

// manifest is written last by assets.mjs: with it, vendor/ is whole.
const manifest = "vendor/manifest.json"

//go:embed css/*.css js console *.js *.svg all:vendor
var embedded embed.FS

// shared is made once, at first use, and only read afterwards.
var shared = sync.OnceValue(func() *library {
	l, err := newLibrary(embedded)
	if err != nil {
		panic("static: read the embedded files: " + err.Error()) // the binary itself is damaged
	}
	return l
})

// URL is the address of a file by its name. A name that isn't there gets an
// address that answers 404, so that pages can be made without vendor/.
func URL(name string) string { return shared().url(name) }

// Icon returns the shapes inside an icon of @tabler/icons, without the svg
// element around them.
func Icon(name string) (shapes string, ok bool) {
	shapes, ok = shared().icons[name]
	return shapes, ok
}

// Missing says what to run when the binary was built without the third-party
// files, and nil when all is there.
func Missing() error { return missing(embedded) }

func missing(files fs.FS) error {
	if _, err := fs.Stat(files, manifest); err != nil {
		return errors.New("the browser assets are not in this binary: run `task assets`, then build again")
	}
	return nil
}

// iconShapes takes what lies inside the svg element, without the invisible
// square that every icon begins with.
func iconShapes(svg string) string {
	_, inner, _ := strings.Cut(svg, "<svg")
	_, inner, _ = strings.Cut(inner, ">")
	inner, _, _ = strings.Cut(inner, "</svg>")
	inner = strings.Replace(inner, `<path stroke="none" d="M0 0h24v24H0z" fill="none" />`, "", 1)
	return strings.Join(strings.Fields(inner), " ")
}
