package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/millwright/millwright/static"
)

// pages is every screen's elements, by the screen's name.
func pages(t *testing.T) map[string][]*html.Node {
	t.Helper()
	all := map[string][]*html.Node{}
	for _, s := range screens(time.Now()) {
		var page bytes.Buffer
		if err := s.component.Render(t.Context(), &page); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		root, err := html.Parse(&page)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		for n := range root.Descendants() {
			if n.Type == html.ElementNode {
				all[s.name] = append(all[s.name], n)
			}
		}
	}
	return all
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func TestNothingThatTheContentPolicyForbids(t *testing.T) {
	t.Parallel()
	for name, elements := range pages(t) {
		for _, n := range elements {
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Key, "hx-on") {
					t.Errorf("%s: <%s %s=%q>", name, n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "style" || (n.Data == "script" && n.FirstChild != nil) {
				t.Errorf("%s: <%s> with its text in the page", name, n.Data)
			}
		}
	}
}

func TestEveryIdIsGivenOnceAndEveryReferenceIsMet(t *testing.T) {
	t.Parallel()
	for name, elements := range pages(t) {
		ids := map[string]bool{}
		for _, n := range elements {
			if id, ok := attr(n, "id"); ok {
				if ids[id] {
					t.Errorf("%s: id %q twice", name, id)
				}
				ids[id] = true
			}
		}
		for _, n := range elements {
			for _, reference := range []string{"for", "form", "aria-describedby", "aria-labelledby", "popovertarget", "data-dialog-open"} {
				if id, ok := attr(n, reference); ok && !ids[id] {
					t.Errorf("%s: <%s %s=%q>: nobody has this id", name, n.Data, reference, id)
				}
			}
		}
	}
}

func TestEveryIconIsThere(t *testing.T) {
	t.Parallel()
	if err := static.Missing(); err != nil {
		t.Skip(err)
	}
	for name, elements := range pages(t) {
		for _, n := range elements {
			if icon, missing := attr(n, "data-icon-missing"); missing {
				t.Errorf("%s: icon %s is not in static/icons.txt", name, icon)
			}
		}
	}
}

// Tools find the machine's state as the first of the page.
func TestFirstStateOfAMachinePageIsTheMachines(t *testing.T) {
	t.Parallel()
	want := map[string]string{"machine": "running", "machine-building": "building", "machine-failed": "failed", "machine-missing": "missing"}
	for _, s := range screens(time.Now()) {
		state, ok := want[s.name]
		if !ok {
			continue
		}
		var page bytes.Buffer
		if err := s.component.Render(t.Context(), &page); err != nil {
			t.Fatal(err)
		}
		first := regexp.MustCompile(`data-state="([^"]*)"[^>]* data-machine-id="[^"]+"[^>]* data-task-state="`).FindStringSubmatch(page.String())
		if first == nil || first[1] != state || strings.Index(page.String(), "data-state=") != strings.Index(page.String(), first[0]) {
			t.Errorf("%s: %v", s.name, first)
		}
	}
}

// An icon that nobody names is fetched and embedded for nothing.
func TestEveryListedIconIsUsed(t *testing.T) {
	t.Parallel()
	var code bytes.Buffer
	for _, folder := range []string{"..", "../ui"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if name := entry.Name(); strings.HasSuffix(name, ".templ") || (strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_templ.go")) {
				text, err := os.ReadFile(folder + "/" + name)
				if err != nil {
					t.Fatal(err)
				}
				code.Write(text)
			}
		}
	}
	list, err := os.ReadFile("../../static/icons.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		name := strings.TrimSpace(line)
		if name != "" && !strings.HasPrefix(name, "#") && !strings.Contains(code.String(), `"`+name+`"`) {
			t.Errorf("icon %s is used nowhere", name)
		}
	}
}
