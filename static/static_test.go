package static

import (
	"bufio"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func fixture() fstest.MapFS {
	return fstest.MapFS{
		"css/20-late.css":             {Data: []byte(`.late { color: red }`)},
		"css/10-early.css":            {Data: []byte(`@font-face { src: url("sans.woff2") }`)},
		"js/app.js":                   {Data: []byte(`import "./theme.js";` + strings.Repeat(" ", 500))},
		"js/theme.js":                 {Data: []byte(`export {};`)},
		"vendor/sans.woff2":           {Data: []byte("font")},
		"vendor/novnc/core/rfb.js":    {Data: []byte(`import "./util/int.js"`)},
		"vendor/novnc/core/util/i.js": {Data: []byte(``)},
		"vendor/icons/server.svg":     {Data: []byte("<svg\n class=\"icon\"\n>\n  <path stroke=\"none\" d=\"M0 0h24v24H0z\" fill=\"none\" />\n  <path d=\"M3 7\" />\n</svg>")},
		"vendor/licenses/novnc.txt":   {Data: []byte("MPL")},
		"vendor/manifest.json":        {Data: []byte("{}")},
	}
}

func open(t *testing.T, files fs.FS) *library {
	t.Helper()
	l, err := newLibrary(files)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func get(l *library, url string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, body io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAddressChangesWithContent(t *testing.T) {
	t.Parallel()
	files := fixture()
	before := open(t, files)
	files["js/theme.js"] = &fstest.MapFile{Data: []byte(`export const changed = 1;`)}
	after := open(t, files)
	if before.url("js/app.js") == after.url("js/app.js") {
		t.Error("a changed module keeps the address of the tree that imports it")
	}
	if before.url("novnc/core/rfb.js") != after.url("novnc/core/rfb.js") {
		t.Error("an untouched tree got a new address")
	}
}

func TestModulesOfATreeStayRelative(t *testing.T) {
	t.Parallel()
	l := open(t, fixture())
	pattern := regexp.MustCompile(`^/static/[0-9a-f]{16}/novnc/core/rfb\.js$`)
	url := l.url("novnc/core/rfb.js")
	if !pattern.MatchString(url) {
		t.Fatalf("address %q", url)
	}
	sibling := strings.TrimSuffix(url, "rfb.js") + "util/i.js"
	if res := get(l, sibling); res.StatusCode != http.StatusOK {
		t.Errorf("%s: %d", sibling, res.StatusCode)
	}
}

func TestSheetsAreJoinedInOrderWithHashedFonts(t *testing.T) {
	t.Parallel()
	l := open(t, fixture())
	css := text(t, get(l, l.url("app.css")).Body)
	if !strings.Contains(css, `url("`+l.url("sans.woff2")+`")`) {
		t.Errorf("the font's address is not in %q", css)
	}
	if strings.Index(css, "@font-face") > strings.Index(css, ".late") {
		t.Error("the sheets are out of order")
	}
}

func TestServedForEverCompressedAndTyped(t *testing.T) {
	t.Parallel()
	l := open(t, fixture())
	res := get(l, l.url("js/app.js"), "Accept-Encoding", "br, gzip")
	if got := res.Header.Get("Content-Type"); got != "text/javascript; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control %q", got)
	}
	if res.Header.Get("Content-Encoding") != "gzip" {
		t.Fatal("not compressed")
	}
	unzipped, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	plain := text(t, get(l, l.url("js/app.js"), "Accept-Encoding", "gzip;q=0").Body)
	if text(t, unzipped) != plain {
		t.Error("the compressed body differs from the plain one")
	}
}

func TestServesNothingWithoutItsHash(t *testing.T) {
	t.Parallel()
	l := open(t, fixture())
	for _, url := range []string{
		"/static/", "/static/app.css", "/static/js/app.js", "/static/vendor/manifest.json",
		"/static/licenses/novnc.txt", "/static/../static.go", l.url("absent.js"),
	} {
		if res := get(l, url); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", url, res.StatusCode)
		}
	}
}

func TestWritesAreRefused(t *testing.T) {
	t.Parallel()
	l := open(t, fixture())
	w := httptest.NewRecorder()
	l.ServeHTTP(w, httptest.NewRequest(http.MethodPost, l.url("app.css"), nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestIconIsItsShapesAlone(t *testing.T) {
	t.Parallel()
	if got := open(t, fixture()).icons["server"]; got != `<path d="M3 7" />` {
		t.Errorf("icon %q", got)
	}
}

func TestMissingVendorSaysWhatToRun(t *testing.T) {
	t.Parallel()
	if err := missing(fixture()); err != nil {
		t.Errorf("complete: %v", err)
	}
	if err := missing(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "task assets") {
		t.Errorf("absent: %v", err)
	}
}

// What icons.txt promises is what the binary carries.
func TestEveryListedIconIsEmbedded(t *testing.T) {
	t.Parallel()
	if err := Missing(); err != nil {
		t.Skip(err)
	}
	list, err := os.Open("icons.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = list.Close() }()
	for lines := bufio.NewScanner(list); lines.Scan(); {
		name := strings.TrimSpace(lines.Text())
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		if _, ok := Icon(name); !ok {
			t.Errorf("icon %s is listed but not there", name)
		}
	}
}
