"""The ultrasound sector on a screen with text, ECG and colour bars."""
