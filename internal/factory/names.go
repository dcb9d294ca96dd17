package factory

import (
	"regexp"
	"strconv"
	"strings"
)

const (
	// maxName leaves room for a domain within what DNS and guests take.
	maxName = 42
	// maxCount is how many machines one order may make.
	maxCount = 20
)

var hostName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$`)

// nameFault says what is wrong with a machine's name, "" for nothing. The name
// becomes the guest's host name.
func nameFault(name string) string {
	switch {
	case name == "":
		return "Give the machine a name."
	case len(name) > maxName:
		return "A name has at most " + strconv.Itoa(maxName) + " characters."
	case strings.ToLower(name) != name:
		return "Use small letters only: the name becomes the machine's host name."
	case name[0] < 'a' || name[0] > 'z':
		return "A name begins with a letter."
	case strings.HasSuffix(name, "-"):
		return "A name doesn't end with a hyphen."
	case !hostName.MatchString(name):
		return "Use letters a–z, digits and hyphens only: the name becomes the machine's host name."
	}
	return ""
}

// numbered gives an order's machines their names: the name itself for one,
// name-1, name-2, … for more.
func numbered(name string, count int) []string {
	if count <= 1 {
		return []string{name}
	}
	names := make([]string, count)
	for i := range names {
		names[i] = name + "-" + strconv.Itoa(i+1)
	}
	return names
}
