package edge_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// docs/edge-protocol.md is all that somebody has who builds another gateway: its
// samples are what the types take, with every field in them, and its tables
// name each field with the type that it has, and no other.
func TestProtocolDocumentIsComplete(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/edge-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	samples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1)
	if len(samples) != 2 {
		t.Fatalf("%d samples", len(samples))
	}
	d := document{T: t, tables: tablesOf(string(text)), seen: map[string]bool{}}
	for i, whole := range []any{&edge.Desired{}, &edge.Status{}} {
		strict := json.NewDecoder(bytes.NewReader(samples[i][1]))
		strict.DisallowUnknownFields()
		if err := strict.Decode(whole); err != nil {
			t.Errorf("sample of %T: %v", whole, err)
			continue
		}
		back, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		var sample, again any
		_ = json.Unmarshal(samples[i][1], &sample)
		_ = json.Unmarshal(back, &again)
		if !reflect.DeepEqual(sample, again) {
			t.Errorf("the sample of %T says something else when it is written again:\n%s", whole, back)
		}
		d.compare(reflect.ValueOf(whole).Elem())
	}
	for name := range d.tables {
		t.Errorf("no object is a %s", name)
	}
}

// document is the tables of which no type has been found yet, and the types
// that have been: some stand in two places.
type document struct {
	*testing.T
	tables map[string]map[string]string
	seen   map[string]bool
}

// compare holds a sample and its type's table against the type, and so on with
// all that it consists of.
func (d *document) compare(sample reflect.Value) {
	d.Helper()
	of := sample.Type()
	if !d.seen[of.Name()] {
		d.table(of)
	}
	for i := range of.NumField() {
		field := sample.Field(i)
		if field.IsZero() && field.Kind() != reflect.Bool {
			d.Errorf("%s: the sample has no %s", of.Name(), of.Field(i).Name)
			continue
		}
		switch {
		case field.Kind() == reflect.Pointer:
			field = field.Elem()
		case field.Kind() == reflect.Slice && field.Len() > 0:
			field = field.Index(0)
		}
		if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[time.Time]() {
			d.compare(field)
		}
	}
}

func (d *document) table(of reflect.Type) {
	d.Helper()
	rows := d.tables[of.Name()]
	for field := range of.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		want := kind(field.Type)
		if options == "omitempty" {
			want += ", optional"
		}
		if rows[name] != want {
			d.Errorf("%s: the table has %q as %q, want %q", of.Name(), name, rows[name], want)
		}
		delete(rows, name)
	}
	for name := range rows {
		d.Errorf("%s has no field %s", of.Name(), name)
	}
	d.seen[of.Name()] = true
	delete(d.tables, of.Name())
}

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.Slice:
		return "list of " + kind(t.Elem())
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Bool:
		return "boolean"
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return "time"
		}
		return t.Name()
	default:
		return t.Kind().String()
	}
}

// tablesOf reads the tables: by object, the type of each field.
func tablesOf(text string) map[string]map[string]string {
	tables := map[string]map[string]string{}
	object := ""
	row := regexp.MustCompile("^\\| `([a-z0-9_]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "#### "); ok {
			object = name
		} else if strings.HasPrefix(line, "#") {
			object = ""
		}
		if cells := row.FindStringSubmatch(line); cells != nil && object != "" {
			if tables[object] == nil {
				tables[object] = map[string]string{}
			}
			tables[object][cells[1]] = cells[2]
		}
	}
	return tables
}
