package models

// ActiveTasks counts what is being done in the scope just now.
func (r *Reader) ActiveTasks() (int, error) {
	var n int64
	err := r.tx.Model(&Task{}).Where("state IN ?", ActiveTaskStates).Count(&n).Error
	return int(n), err
}
