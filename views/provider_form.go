package views

import (
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/millwright/millwright/views/ui"
)

// Form is what was typed into a form, and what is wrong with it, by field.
type Form struct {
	Values   map[string]string
	Problems map[string]string
}

func (f Form) field(name, label, hint string, required bool) ui.FieldProps {
	return ui.FieldProps{ID: "field-" + name, Name: name, Label: label, Hint: hint, Required: required,
		Value: f.Values[name], Error: f.Problems[name], Attrs: templ.Attributes{"autocomplete": "off"}}
}

func (f Form) number(name, label, hint string, least, most int64) ui.FieldProps {
	p := f.field(name, label, hint, true)
	p.Type = "number"
	p.Attrs["min"], p.Attrs["max"] = strconv.FormatInt(least, 10), strconv.FormatInt(most, 10)
	p.Attrs["inputmode"] = "numeric"
	return p
}

func (f Form) price(name, label, hint string) ui.FieldProps {
	p := f.field(name, label, hint, true)
	p.Attrs["inputmode"] = "decimal"
	return p
}

func (f Form) choice(name, label string, options []ui.Option) ui.SelectProps {
	return ui.SelectProps{ID: "field-" + name, Name: name, Label: label, Options: options,
		Value: f.Values[name], Error: f.Problems[name]}
}

// rest is what is wrong with no field that the form shows.
func (f Form) rest(shown ...string) string {
	var text []string
	for name, problem := range f.Problems {
		found := false
		for _, s := range shown {
			found = found || s == name
		}
		if !found {
			text = append(text, problem)
		}
	}
	return strings.Join(text, " ")
}

// PriceText is a price per hour as a form takes it.
func PriceText(micros int64) string { return strconv.FormatFloat(float64(micros)/1e6, 'f', -1, 64) }
