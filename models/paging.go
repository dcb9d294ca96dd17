package models

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// Paging asks for one page by where it starts, not by its number: the
// thousandth costs what the first does, and rows that come and go shift none.
type Paging struct {
	After  string // cursor: the page behind this row
	Before string // cursor: the page in front of it
	Limit  int    // rows; 0 means 50, at most 200
}

// Page is one page of rows. Next and Prev are cursors, "" at the ends.
type Page[T any] struct {
	Rows []T
	Next string
	Prev string
}

// keyset says by what a list is ordered: a column (or none) and then the id.
type keyset struct {
	table      string
	column     string // "" orders by id alone
	descending bool
}

// find is how most lists fetch their rows.
func find[T any](q *gorm.DB, limit int) ([]T, error) {
	rows := make([]T, 0, limit)
	return rows, q.Find(&rows).Error
}

// fetchPage runs q for one page. key gives a row's ordering value and id.
func fetchPage[T any](q *gorm.DB, p Paging, k keyset, fetch func(*gorm.DB, int) ([]T, error), key func(*T) (value, id string)) (Page[T], error) {
	limit := p.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 200)
	back := p.Before != ""
	descending := k.descending != back
	op, dir := " > ", " ASC"
	if descending {
		op, dir = " < ", " DESC"
	}
	id := k.table + ".id"
	if cursor := p.After + p.Before; cursor != "" {
		value, rowID, ok := decodeCursor(cursor)
		switch {
		case !ok:
			return Page[T]{}, Invalid(map[string]string{"after": "This page mark is not one of ours. Start from the first page."})
		case k.column == "":
			q = q.Where(id+op+"?", rowID)
		default:
			q = q.Where("("+k.table+"."+k.column+", "+id+")"+op+"(?, ?)", value, rowID)
		}
	}
	if k.column != "" {
		q = q.Order(k.table + "." + k.column + dir)
	}
	rows, err := fetch(q.Order(id+dir).Limit(limit+1), limit+1)
	if err != nil {
		return Page[T]{}, err
	}
	more := len(rows) > limit
	if more {
		rows = rows[:limit]
	}
	if back {
		slices.Reverse(rows)
	}
	page := Page[T]{Rows: rows}
	if len(rows) == 0 {
		return page, nil
	}
	if more || back {
		page.Next = encodeCursor(key(&rows[len(rows)-1]))
	}
	if p.After != "" || (back && more) {
		page.Prev = encodeCursor(key(&rows[0]))
	}
	return page, nil
}

func encodeCursor(value, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(id + "\x00" + value))
}

func decodeCursor(s string) (value, id string, ok bool) {
	if len(s) > 512 {
		return "", "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return "", "", false
	}
	id, value, ok = strings.Cut(string(raw), "\x00")
	return value, id, ok && id != "" && !strings.ContainsRune(value, 0)
}

// likeText makes a case-blind "contains" pattern, for LIKE … ESCAPE '\'.
func likeText(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, "\x00", "").Replace(strings.ToLower(s))
	return "%" + s + "%"
}

// absent gives "no such row" its sentence and passes the rest on.
func absent(err error, what string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return NotFound(what)
	}
	return err
}
