// Package handlers turns a request into calls of rooms and models, and their
// answer into a page: one file per noun, each handler a straight line.
//
//	form or address ─▶ checked input ─▶ room (change) or Scope.Read (look) ─▶ props ─▶ view
//
// A tenant handler is func(echo.Context, *models.Scope) error, a provider's
// takes a *models.Provider; neither decides a permission: the door in web's
// route table has, and what a page may offer is asked of the scope. The package
// refuses to keep state, to write a statement and to word an error: web answers
// those that it returns.
package handlers
