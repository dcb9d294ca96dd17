// Package archtest holds the direction in which packages may import each
// other, and the calls that only one place may make. It parses the source; it
// needs no build.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/millwright/millwright/"

// allowed says which of our packages a package may import. Data flows one way:
// cmd → web → handlers → internal/<room> → models → database.
var allowed = map[string][]string{
	"models":            {},
	"migrations":        {},
	"static":            {},
	"views":             {"models", "views/ui", "views/topology", "static"},
	"views/topology":    {},
	"views/ui":          {"models", "static"},
	"handlers":          {"models", "views", "views/ui", "static", "internal/identity", "internal/factory", "internal/console", "internal/audit", "internal/config", "internal/network", "internal/edge"},
	"web":               {"models", "views", "views/ui", "static", "handlers", "internal/identity", "internal/config"},
	"internal/audit":    {"models"},
	"internal/config":   {},
	"internal/identity": {"models"},
	"internal/jobs":     {"models"},
	"internal/mail":     {"models", "internal/jobs"},
	"internal/vsphere":  {},
	"internal/console":  {"models", "internal/vsphere"},
	"internal/factory":  {"models", "internal/vsphere", "internal/jobs"},
	"internal/lab":      {},
	"internal/edge":     {},
	"internal/network":  {"models", "internal/edge"},
	"internal/gateway":  {"internal/edge"},
	"internal/viewer":   {},
	// The gateway's own rooms: text, host, process, WireGuard.
	"internal/gateway/render":  {"internal/edge"},
	"internal/gateway/wg":      {"internal/edge", "internal/gateway"},
	"internal/gateway/host":    {"internal/edge", "internal/gateway", "internal/gateway/render", "internal/gateway/wg"},
	"internal/gateway/forward": {"internal/edge", "internal/gateway", "internal/gateway/wg"},
	"cmd/millwright": {"models", "migrations", "static", "web", "handlers", "internal/config", "internal/identity",
		"internal/jobs", "internal/vsphere", "internal/console", "internal/factory", "internal/audit", "internal/lab", "internal/viewer", "internal/mail",
		"internal/edge", "internal/gateway", "internal/gateway/host", "internal/gateway/forward", "internal/network"},
}

// testOnly packages may import anything, and nothing of the portal imports them.
var testOnly = []string{"internal/testkit", "internal/archtest", "e2e", "bench", "views/preview"}

type source struct {
	path string // from the module's root
	pkg  string
	file *ast.File
	set  *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var list []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "vendor" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		list = append(list, source{path: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)), file: file, set: set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 50 {
		t.Fatalf("only %d files were read", len(list))
	}
	return list
}

func imports(s source) []string {
	var list []string
	for _, i := range s.file.Imports {
		list = append(list, strings.Trim(i.Path.Value, `"`))
	}
	return list
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") || slices.Contains(testOnly, s.pkg) {
			continue
		}
		may, known := allowed[s.pkg]
		if !known {
			t.Errorf("%s: package %s is not in the table of this test: add it, with what it may import", s.path, s.pkg)
			continue
		}
		for _, path := range imports(s) {
			ours, is := strings.CutPrefix(path, module)
			if is && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s", s.path, ours)
			}
		}
	}
}

// Only models knows the database library; what else touches database/sql is
// named here.
func TestOnlyModelsSpeaksToTheDatabase(t *testing.T) {
	t.Parallel()
	sqlToo := []string{"models", "migrations", "internal/jobs", "internal/testkit", "bench"}
	for _, s := range sources(t) {
		for _, path := range imports(s) {
			switch {
			case strings.HasPrefix(path, "gorm.io/") && s.pkg != "models":
				t.Errorf("%s imports %s", s.path, path)
			case path == "database/sql" && !slices.Contains(sqlToo, s.pkg) && !strings.HasSuffix(s.path, "_test.go"):
				// The job's insert goes by the caller's transaction: *sql.Tx may be named.
				if s.pkg != "internal/factory" {
					t.Errorf("%s imports %s", s.path, path)
				}
			case strings.Contains(path, "vmware/govmomi") && !strings.HasSuffix(s.path, "_test.go") && s.pkg != "internal/vsphere" && s.pkg != "internal/lab" && !slices.Contains(testOnly, s.pkg):
				t.Errorf("%s imports %s", s.path, path)
			}
		}
	}
}

// escapes slip past the tenant clauses, the states, or the transaction that
// they are said in; models/db.go alone has them.
var escapes = []string{
	// gorm: text in place of a built statement, another table, whole rows, hooks left out
	"Raw", "Exec", "Table", "Save", "Unscoped", "ScanRows", "MapColumns",
	// gorm: another connection, another context, which is another scope, or another transaction
	"ConnPool", "Statement", "Connection", "WithContext", "Begin", "Transaction", "SavePoint", "RollbackTo", "DB", "Session",
	// gorm: what changes it for everybody
	"Dialector", "Migrator", "AutoMigrate", "Callback", "Use",
	// database/sql and pgx
	"Open", "BeginTx", "ExecContext", "QueryContext", "QueryRowContext", "PrepareContext", "Query", "QueryRow", "Prepare", "SendBatch", "CopyFrom",
}

// harmless says which of them are used all the same, and why.
func harmless(call *ast.CallExpr, sel *ast.SelectorExpr) bool {
	x, named := sel.X.(*ast.Ident)
	switch {
	case sel.Sel.Name == "Open": // a handle of its own; the sealer's Open opens secrets
		return !named || (x.Name != "gorm" && x.Name != "sql")
	case named && x.Name == "gorm": // the names of types
		return true
	case named && x.Name == "conn": // the listener's and the lock's own connection: no table is touched there
		return true
	case sel.Sel.Name == "Session" && call == nil: // a record's field
		return true
	case sel.Sel.Name == "Session" && len(call.Args) == 1: // a copy of the query, with the same scope
		ref, ok := call.Args[0].(*ast.UnaryExpr)
		if !ok {
			return false
		}
		options, ok := ref.X.(*ast.CompositeLit)
		return ok && len(options.Elts) == 0
	}
	return false
}

// escapesIn names each use of an escape.
func escapesIn(file *ast.File) []*ast.SelectorExpr {
	var found []*ast.SelectorExpr
	calls := map[*ast.SelectorExpr]*ast.CallExpr{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
				calls[sel] = n
			}
		case *ast.SelectorExpr:
			if slices.Contains(escapes, n.Sel.Name) && !harmless(calls[n], n) {
				found = append(found, n)
			}
		}
		return true
	})
	return found
}

func TestNoEscapeFromTheTenantClauses(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.pkg != "models" || strings.HasSuffix(s.path, "_test.go") || s.path == "models/db.go" {
			continue
		}
		for _, sel := range escapesIn(s.file) {
			t.Errorf("%s: %s", s.set.Position(sel.Pos()), sel.Sel.Name)
		}
	}
}

// Each escape is found, however it is written: the test above can fail.
func TestEscapesAreFound(t *testing.T) {
	t.Parallel()
	for _, name := range escapes {
		texts := []string{"r.tx.%s(x)", "w.tx.Model(x).%s(x)", "f := tx.%s; f()", "tx.%s.Close()"}
		switch name {
		case "Open":
			texts = []string{"gorm.%s(x)", "sql.%s(x)"}
		case "Session":
			texts = []string{"r.tx.%s(x)", "r.tx.%s(&gorm.Session{NewDB: true})"}
		}
		for _, text := range texts {
			source := "package p\nfunc f() { " + strings.Replace(text, "%s", name, 1) + " }"
			file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if len(escapesIn(file)) != 1 {
				t.Errorf("%s is not found", source)
			}
		}
	}
}

// The database's own handles, and a transaction's, are for the job queue.
func TestHandlesOfTheDatabaseStayWithTheQueue(t *testing.T) {
	t.Parallel()
	may := map[string][]string{
		"SQL":  {"models", "internal/jobs", "internal/testkit", "bench"},
		"Pool": {"models", "internal/jobs", "internal/testkit", "bench"},
		"Tx":   {"models", "internal/factory", "internal/mail", "internal/jobs", "internal/testkit", "bench"},
	}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) > 0 {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
				if pkgs, watched := may[sel.Sel.Name]; watched && !slices.Contains(pkgs, s.pkg) {
					t.Errorf("%s: %s()", s.set.Position(sel.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestNoInitAndNoDotImport(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_templ.go") {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init()", s.set.Position(f.Pos()))
			}
		}
		for _, i := range s.file.Imports {
			if i.Name != nil && i.Name.Name == "." {
				t.Errorf("%s: dot import of %s", s.path, i.Path.Value)
			}
		}
	}
}

// Enforced FIPS 140-3 is let go for two things: the WebSocket handshake's
// SHA-1, at both of its ends, and that of authenticator apps.
func TestFIPSExemptionsAreTheKnownOnes(t *testing.T) {
	t.Parallel()
	known := map[string]int{
		"internal/console/serve.go": 1, "internal/console/upstream.go": 1, "internal/viewer/client.go": 1,
		"internal/identity/second_factor.go": 1,
	}
	found := map[string]int{}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "WithoutEnforcement" {
				found[s.path]++
			}
			return true
		})
	}
	if !maps.Equal(found, known) {
		t.Errorf("enforcement is let go in %v, known are %v", found, known)
	}
}
