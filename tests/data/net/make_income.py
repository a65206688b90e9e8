"""Writes income.csv: who bought, by age and income; made up, with columns of very different size."""
import random

random.seed(4)
print("age,income,bought")
for _ in range(240):
    age, income = random.randint(18, 80), random.randrange(5000, 90000, 100)
    print(f"{age},{income},{int(((age - 47) / 18) ** 2 + ((income - 45000) / 24000) ** 2 < 1)}")
