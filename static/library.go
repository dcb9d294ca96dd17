package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// library is every file by name and by address.
type library struct {
	byName map[string]*asset
	byURL  map[string]*asset
	icons  map[string]string
}

type asset struct {
	url         string
	contentType string
	body        []byte
	// zipped is body compressed, or nil when that saves nothing. Made when
	// first asked for, so that a start of the portal doesn't wait for it.
	zipped func() []byte
}

// trees are folders whose modules import each other by relative address: all
// files of one share a hash, that stands in front of the path.
var trees = []string{"js/", "console/", "novnc/"}

var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
}

// styleURL finds what a style sheet of ours refers to: url("name").
var styleURL = regexp.MustCompile(`url\("([\w.-]+)"\)`)

func newLibrary(files fs.FS) (*library, error) {
	l := &library{byName: map[string]*asset{}, byURL: map[string]*asset{}, icons: map[string]string{}}
	bodies, err := l.read(files)
	if err != nil {
		return nil, err
	}
	treeHash := map[string]string{}
	for _, tree := range trees {
		treeHash[tree] = hashTree(bodies, tree)
	}
	sheets := map[string][]byte{}
	for name, body := range bodies {
		if strings.HasPrefix(name, "css/") {
			sheets[name] = body
			continue
		}
		l.add(name, body, treeHash[treeOf(name)])
	}
	// Last, because its text names the addresses of the others.
	l.add("app.css", l.joinSheets(sheets), "")
	return l, nil
}

// read collects the files to be served by their public name, and the icons.
func (l *library) read(files fs.FS) (map[string][]byte, error) {
	bodies := map[string][]byte{}
	err := fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if contentTypes[path.Ext(file)] == "" {
			return nil // licences, manifest, placeholder: carried along, not served
		}
		body, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(file, "vendor/")
		if icon, ok := strings.CutPrefix(name, "icons/"); ok {
			l.icons[strings.TrimSuffix(icon, ".svg")] = iconShapes(string(body))
			return nil
		}
		if _, twice := bodies[name]; twice {
			return fmt.Errorf("%s and a file of vendor/ have one name", name)
		}
		bodies[name] = body
		return nil
	})
	return bodies, err
}

func (l *library) add(name string, body []byte, treeHash string) {
	ext := path.Ext(name)
	a := &asset{contentType: contentTypes[ext], body: body}
	if treeHash != "" {
		a.url = prefix + treeHash + "/" + name
	} else {
		a.url = prefix + strings.TrimSuffix(name, ext) + "." + hash(body) + ext
	}
	a.zipped = sync.OnceValue(func() []byte { return zip(body, ext) })
	l.byName[name] = a
	l.byURL[a.url] = a
}

func (l *library) url(name string) string {
	if a, ok := l.byName[name]; ok {
		return a.url
	}
	return prefix + name
}

func (l *library) joinSheets(sheets map[string][]byte) []byte {
	names := make([]string, 0, len(sheets))
	for name := range sheets {
		names = append(names, name)
	}
	slices.Sort(names)
	var joined bytes.Buffer
	for _, name := range names {
		joined.Write(sheets[name])
		joined.WriteByte('\n')
	}
	return styleURL.ReplaceAllFunc(joined.Bytes(), func(match []byte) []byte {
		name := string(styleURL.FindSubmatch(match)[1])
		return []byte(`url("` + l.url(name) + `")`)
	})
}

func treeOf(name string) string {
	for _, tree := range trees {
		if strings.HasPrefix(name, tree) {
			return tree
		}
	}
	return ""
}

func hashTree(bodies map[string][]byte, tree string) string {
	var names []string
	for name := range bodies {
		if strings.HasPrefix(name, tree) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var list bytes.Buffer
	for _, name := range names {
		list.WriteString(name + " " + hash(bodies[name]) + "\n")
	}
	return hash(list.Bytes())
}

func hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])[:16]
}

func zip(body []byte, ext string) []byte {
	if ext == ".woff2" {
		return nil // compressed by itself
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := w.Write(body); err != nil {
		return nil
	}
	if err := w.Close(); err != nil || out.Len() >= len(body) {
		return nil
	}
	return out.Bytes()
}
