// Package ui is the kit that every page is made of: the frame, and the parts
// that show states, tables, forms, progress and words about them.
//
// A part takes one props struct and draws it. It asks no database, decides no
// permission (it is handed CanDelete, or an empty URL) and knows none of the
// product's records: views turns those into props. All of it holds under a
// content policy without inline script and style: looks are classes, sizes
// that vary are SVG attributes, behaviour hangs on data attributes that
// static/js reads.
package ui
